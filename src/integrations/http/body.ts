import { enterFrame, type Frame } from '../../context.ts';

type Read = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>>;
type Controller = ReadableStreamDefaultController | ReadableByteStreamController;

/** The body of a response, read and cancelled in a scope, whoever reads it: a chunk when one is asked for, none before. */
export class ScopedBody {
  /** What the server reads in place of the source. */
  readonly stream: ReadableStream;
  /** Resolves when all was read, or the source has done what it does when it is cancelled. Rejects with what the source failed with. */
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #frame: Frame;
  #controller: Controller | undefined;
  #isOver = false;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  /** @param onCancel Called when whoever reads wants no more; is to {@link abandon} it. */
  constructor(source: ReadableStream<Uint8Array>, frame: Frame, onCancel: () => void) {
    const isOfBytes = givesBytes(source);
    this.#reader = source.getReader();
    this.#frame = frame;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const whenRead = {
      start: (controller: Controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pull(),
      cancel: () => {
        onCancel();
        return this.ended;
      },
    };
    // What a stream of bytes gives is its reader's to keep; the chunks of another one may be views of what their maker still uses.
    this.stream = isOfBytes ? new ReadableStream({ ...whenRead, type: 'bytes' }) : new ReadableStream(whenRead, { highWaterMark: 0 });
  }

  /** Whether all was read, or no more will be. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The source is cancelled. Whoever reads hears of it when it is {@link cut}, unless it has known before and reads no more. */
  abandon(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    enterFrame(this.#frame, () => this.#reader.cancel(reason)).then(this.#resolve, this.#reject);
  }

  /** Ends it early: whoever reads gets the error, for what was read is not all. */
  cut(error: unknown): void {
    this.abandon(error);
    this.#controller?.error(error);
    this.#controller = undefined;
  }

  /** No async function: a server that finds a short body at once can say how long it is. */
  #pull(): Promise<void> {
    return enterFrame(this.#frame, () => this.#reader.read())
      .then((read) => this.#onRead(read))
      .catch((error: unknown) => this.#onFailed(error));
  }

  #onRead({ done, value }: Read): void {
    if (this.#isOver) return;
    if (!done) return this.#controller?.enqueue(value);
    this.#isOver = true;
    close(this.#controller);
    this.#controller = undefined;
    this.#resolve();
  }

  #onFailed(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller?.error(error);
    this.#reject(error);
  }
}

function givesBytes(source: ReadableStream): boolean {
  try {
    source.getReader({ mode: 'byob' }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

function close(controller: Controller | undefined): void {
  controller?.close();
  // A reader that lends its buffer waits until it has it back.
  if (controller && 'byobRequest' in controller) controller.byobRequest?.respond(0);
}
