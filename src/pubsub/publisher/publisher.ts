import { backoffMs } from '../../backoff.ts';
import { after, cancel, pause, type Timer } from '../../clock.ts';
import { ItemsLostError, PublisherRefusedError } from '../../errors.ts';
import type { RedisPool } from '../../redis/api.ts';
import type { Scope } from '../../scope/index.ts';
import { Bell } from '../bell.ts';
import { type Codec, encode, type Payload } from '../codec.ts';
import { whenClosing } from '../door.ts';
import { Seldom } from '../seldom.ts';
import { Backlog, type BacklogRules } from './backlog.ts';
import { Intake, type Source } from './intake.ts';
import { type Sending, send } from './sending.ts';

/** How many messages are on their way at a time: of so many nobody may know what became of them when a connection breaks. */
const MOST_ON_THEIR_WAY = 256;
/** How long a source that is ended may take to give what it was asked for before, in milliseconds. */
const LAST_MS = 1_000;

/** What a publisher is made of. */
export interface PublisherConfig<T> {
  readonly source: Source<T>;
  readonly pool: RedisPool;
  readonly topic: string;
  readonly codec: Codec;
  readonly rules: BacklogRules;
}

/** Publishes what a source yields until that ends, or its scope. Made by `publishFrom`. */
export class Publisher implements AsyncDisposable {
  readonly topic: string;
  /** Resolves when the source has ended and all is published. Rejects with why not; need not be awaited, for the scope hears of it as of a task that failed. */
  readonly done: Promise<void>;
  #published = 0;
  #dropped = 0;
  #unsure = 0;
  readonly #sending: Sending;
  readonly #scope: Scope;
  readonly #backlog: Backlog;
  readonly #intake: Intake<unknown>;
  /** Of the backlog, and of the source. */
  readonly #changed = new Bell();
  /** Nothing more comes of the source; it may have failed. */
  #over: { readonly failure?: { readonly error: unknown } } | undefined;
  #isEnding = false;
  #giveUp: Timer | undefined;
  readonly #losses = this.#lossTeller();
  /** Why the last attempt to publish has failed, if it has. */
  #failing: unknown;
  #lossError: unknown;

  /** @internal */
  constructor({ source, pool, topic, codec, rules }: PublisherConfig<unknown>, scope: Scope) {
    this.topic = topic;
    this.#scope = scope;
    this.#backlog = new Backlog(topic, rules);
    this.#sending = { pool, topic, take: () => this.#takeSome() };
    this.#intake = new Intake(source, {
      room: () => (this.#backlog.isHolding ? this.#room() : undefined),
      take: (item) => this.#take(encode(codec, item, `publisher "${topic}"`)),
    });
    const letGo = whenClosing(scope, `publisher ${topic}`, () => this.#end());
    const task = scope.spawn(({ signal }) => this.#run(signal), { name: `publisher ${topic}` });
    this.done = task.finally(letGo);
    // The scope has heard of it.
    this.done.catch(() => {});
  }

  /** How many messages the server has taken. */
  get published(): number {
    return this.#published;
  }

  /** How many items were surely not published: dropped where the buffer was full, or left when it ended. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many items were sent and not answered: nobody knows whether they were published, and they are not sent again. */
  get unsure(): number {
    return this.#unsure;
  }

  /** How many items wait. */
  get buffered(): number {
    return this.#backlog.size;
  }

  /** Ends the source, and resolves when all that it has yielded is published, or will not be: `done` says why not. Its scope does the same. */
  async close(): Promise<void> {
    this.#end();
    await this.done.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    void this.#intake.run().then(
      () => this.#finish({}),
      (error: unknown) => this.#finish({ failure: { error } }),
    );
    try {
      await this.#publishAll(signal);
    } finally {
      this.#finish({});
      this.#intake.leave();
      this.#lose(this.#backlog.take(Number.POSITIVE_INFINITY).length, 0);
      this.#losses.flush();
    }
    if (this.#over?.failure) throw this.#over.failure.error;
  }

  /** Until nothing more comes and nothing is left. @throws why it cannot go on. */
  async #publishAll(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !this.#over || this.#backlog.size > 0; ) {
      if (signal.aborted) throw this.#over?.failure?.error ?? signal.reason;
      if (this.#backlog.size === 0) await this.#changed.heard(signal);
      else if (await this.#publishSome(signal)) failures = 0;
      else await pause(backoffMs(++failures, Math.random()), signal);
    }
  }

  /** @returns whether all went well. @throws what would be said again. */
  async #publishSome(signal: AbortSignal): Promise<boolean> {
    const { published, unsure, missed, again, error, isFinal } = await send(this.#sending, signal);
    this.#published += published;
    this.#backlog.putBack(again);
    if (!signal.aborted) this.#failing = error;
    this.#lose(missed, unsure);
    if (isFinal && !signal.aborted) throw this.#refusal(error);
    return error === undefined;
  }

  #takeSome(): readonly Payload[] {
    const some = this.#backlog.take(MOST_ON_THEIR_WAY);
    this.#changed.ring();
    return some;
  }

  #refusal(error: unknown): unknown {
    return error instanceof Error && error.name === 'ReplyError' ? new PublisherRefusedError(this.topic, error) : error;
  }

  /** Waits until the source need not be held back any more. */
  async #room(): Promise<void> {
    while (this.#backlog.isHolding && !this.#isEnding) await this.#changed.heard();
  }

  #take(payload: Payload): void {
    // It was given up: what has not come in time nobody waits for.
    if (this.#over) return;
    this.#lose(this.#backlog.push(payload), 0);
    this.#changed.ring();
  }

  /** Ends the source, and does not wait for ever for it. */
  #end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#changed.ring();
    if (this.#over) return;
    this.#giveUp = after(LAST_MS, () => this.#finish({}));
    this.#intake.end().then(
      () => this.#finish({}),
      (error: unknown) => this.#finish({ failure: { error } }),
    );
  }

  #finish(over: { readonly failure?: { readonly error: unknown } }): void {
    this.#over ??= over;
    cancel(this.#giveUp);
    this.#changed.ring();
  }

  #lose(dropped: number, unsure: number): void {
    if (dropped + unsure === 0) return;
    this.#dropped += dropped;
    this.#unsure += unsure;
    this.#lossError = this.#failing ?? this.#lossError;
    this.#losses.note();
  }

  /** Tells the scope, seldom, how many were lost since it was told last. */
  #lossTeller(): Seldom {
    const told = { dropped: 0, unsure: 0 };
    return new Seldom(() => {
      const lost = { dropped: this.#dropped - told.dropped, unsure: this.#unsure - told.unsure };
      told.dropped += lost.dropped;
      told.unsure += lost.unsure;
      this.#scope.report(new ItemsLostError(this.topic, lost, this.#lossError), `publisher ${this.topic}`);
      this.#lossError = undefined;
    });
  }
}
