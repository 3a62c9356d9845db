import type { IncomingMessage, ServerResponse } from 'node:http';
import { enterFrame, type Frame } from '../../context.ts';
import { ClientGoneError } from '../../errors.ts';
import { refuse } from './answer.ts';
import { whenClosed } from './closed.ts';
import { emitIn } from './emit.ts';
import { Handling, scopeOfRequest } from './handling.ts';

/** Given by a handler that has had all joined that it calls. */
export const JOINED = Symbol('joined');

/** Nobody awaits what comes of it. */
const DONE = { value: undefined };

/** The scope of a request of `node:http` that is handled already. */
export function scopeOfMessage(request: IncomingMessage): RequestScope | undefined {
  return scopeOfRequest(request) as RequestScope | undefined;
}

/** The scope of one request: ends when the response is closed and what handles it has settled, as far as that is known. */
export class RequestScope extends Handling {
  /** Until it is over: the timer of an idle connection keeps the last request's context, and so its scope, but not what it was sent. */
  #response: ServerResponse | undefined;
  /** How much of what handles the request has not settled. */
  #unsettled = 0;
  #isAnswered = false;
  /** In which it is handled. */
  #frame: Frame | undefined;

  /** Runs what handles the request. Its listeners, on request and response, run in the scope as well. */
  handle(request: IncomingMessage, response: ServerResponse, handler: () => unknown): void {
    const frame = this.beginBody(undefined);
    this.#frame = frame;
    this.#response = response;
    // Until it has been called: the client may have gone before.
    this.#unsettled = 1;
    enterFrame(frame, () => {
      this.#listen(request, response, frame);
      this.join(handler);
    });
    this.#unsettled--;
    this.#endWhenOver();
  }

  /** Runs, in the scope, what handles the request, and waits for it, if it gives a promise. */
  join(handler: () => unknown): void {
    try {
      // Whatever called may have queued it, and be in the context of another request.
      const handled = this.#frame ? enterFrame(this.#frame, handler) : handler();
      if (!isThenable(handled)) return this.#noteUnknown(handled);
      this.#unsettled++;
      const settled = () => {
        this.#unsettled--;
        this.#endWhenOver();
      };
      Promise.resolve(handled).then(settled, (error: unknown) => {
        this.#fail(error);
        settled();
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  protected override onFinished(): void {
    const response = this.#response;
    if (!response) return;
    // What handles it may go on, and cut the connection when it finds its request answered, as Express does: no other may come over it.
    response.shouldKeepAlive = false;
    refuse(response, this.abort.reason);
  }

  /** The server closes: the connection is not to be used again, where its client can still be told. */
  endConnection(): void {
    if (this.#response && !this.#response.headersSent) this.#response.shouldKeepAlive = false;
  }

  /** Of code that gives no promise nobody knows when it has ended. */
  #noteUnknown(handled: unknown): void {
    if (handled !== JOINED) this.contents.holdings.isOpenEnded = true;
  }

  #listen(request: IncomingMessage, response: ServerResponse, frame: Frame): void {
    emitIn(frame, request);
    emitIn(frame, response);
    whenClosed(request, response, () => {
      this.#isAnswered = true;
      this.endTimeout();
      const { writableEnded, writableFinished } = response;
      // Both: http2 says of a stream that was reset that it has finished.
      if (!writableEnded || !writableFinished) this.stop(new ClientGoneError(this.name));
      else if (this.#unsettled > 0) this.finish();
      this.#endWhenOver();
    });
  }

  #endWhenOver(): void {
    if (!this.#isAnswered || this.#unsettled > 0 || !this.#frame || !this.#response) return;
    this.#response = undefined;
    // No promise where nothing is left to wait for: on Node 20 each is a part of what a scope costs.
    const ended: unknown = this.endBody(this.#frame, DONE);
    if (ended instanceof Promise) ended.catch((error: unknown) => this.tell(error));
  }

  #fail(error: unknown): void {
    const isEcho = this.isEcho(error);
    if (this.#response) refuse(this.#response, isEcho ? this.abort.reason : error);
    if (isEcho) return;
    this.rules.tell(error, this.name);
    this.stop(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
