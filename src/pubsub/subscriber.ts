import { EventEmitter } from 'node:events';
import { SubscriberClosedError } from '../errors.ts';
import { abortSignal, checkOptions } from '../options.ts';
import type { Scope } from '../scope/index.ts';
import { Bell } from './bell.ts';
import { Succession } from './connection/succession.ts';
import type { Decoding } from './decoding.ts';
import type { SubscriberEvents, SubscriberStatus } from './events.ts';
import { Listeners } from './listening.ts';
import type { DownReason, Gap, Message } from './messages.ts';
import { checkNames, type SubscriberOptions } from './options.ts';
import { Outlets } from './outlets.ts';
import { type Kind, UNDO, Wanted } from './wanted.ts';

/** Subscribed to channels of Redis until its scope closes, over one connection at a time. Made by `createSubscriber` and `subscribeTo`. */
export class Subscriber<M = string> extends EventEmitter<SubscriberEvents<M>> implements AsyncIterable<Message<M> | Gap>, AsyncDisposable {
  readonly name: string;
  readonly #scope: Scope;
  readonly #wanted: Wanted;
  readonly #succession: Succession<M>;
  readonly #outlets: Outlets<M>;
  readonly #listeners: Listeners;
  #status: SubscriberStatus = 'connecting';
  #epoch = 0;
  /** Why it has ended. */
  #ended: Error | undefined;
  #closing: Promise<void> | undefined;
  /** How many wait for it and will be told how it ends. */
  #waiting = 0;
  /** Of the status. */
  readonly #changed = new Bell();
  /** Takes back what it has asked of its scope. */
  readonly #letGo: () => void;
  readonly #decoding: Decoding<M> | undefined;

  /** @internal */
  constructor(name: string, options: SubscriberOptions, scope: Scope, decoding?: Decoding<M>) {
    super();
    // As many requests may listen as there are: no leak to warn of.
    this.setMaxListeners(0);
    this.name = name;
    this.#scope = scope;
    this.#decoding = decoding;
    this.#listeners = new Listeners(this, (error, from) => scope.report(error, `subscriber ${name}, on ${from}`));
    const { channels = [], patterns = [], shardChannels = [] } = options;
    this.#wanted = new Wanted({ subscribe: channels, psubscribe: patterns, ssubscribe: shardChannels });
    const frame = { scope, work: undefined, held: undefined };
    this.#succession = new Succession({ name, options, wanted: this.#wanted, frame, heir: this.#heir() });
    this.#outlets = new Outlets(name, options, scope);
    this.#letGo = this.#endWith(scope);
    this.#succession.start();
  }

  get status(): SubscriberStatus {
    return this.#status;
  }

  /** The number of the connection that messages come over, from 1; 0 before there was any. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Subscribes to channels. @returns resolves when the server has acknowledged it, over whichever connection. @throws SubscriberRefusedError for one that it refuses; the others go on. */
  async subscribe(...channels: string[]): Promise<void> {
    return this.#add('subscribe', channels);
  }

  /** Subscribes to patterns, such as `news.*`; as {@link subscribe}. */
  async psubscribe(...patterns: string[]): Promise<void> {
    return this.#add('psubscribe', patterns);
  }

  /** Subscribes to sharded channels, all of one node; as {@link subscribe}. @throws ShardChannelsApartError for one of another node than those that are there, ShardChannelMovedError where `connect` cannot lead there. */
  async ssubscribe(...channels: string[]): Promise<void> {
    return this.#add('ssubscribe', channels);
  }

  /** Nothing of these comes any more. @returns resolves when the server knows. */
  async unsubscribe(...channels: string[]): Promise<void> {
    return this.#remove('subscribe', channels);
  }

  /** As {@link unsubscribe}, for patterns. */
  async punsubscribe(...patterns: string[]): Promise<void> {
    return this.#remove('psubscribe', patterns);
  }

  /** As {@link unsubscribe}, for sharded channels. */
  async sunsubscribe(...channels: string[]): Promise<void> {
    return this.#remove('ssubscribe', channels);
  }

  /**
   * Waits until the server has acknowledged all that is wanted: whatever is published from then on comes, or a gap says
   * that it may not have.
   *
   * @throws SubscriberRefusedError, SubscriberClosedError, or the reason of the signal.
   */
  async synced(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions('subscriber.synced()', options, { signal: abortSignal });
    const { signal } = options;
    this.#waiting++;
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#ended) throw this.#ended;
        const { line } = this.#succession;
        if (!line) {
          await this.#changed.heard(signal);
          continue;
        }
        const synced = this.#succession.sync().then(() => line);
        const over = await this.#changed.orHeard(synced, signal);
        if (over && over === this.#succession.line) return;
      }
    } finally {
      this.#waiting--;
    }
  }

  /** Has another connection take the place of this one, as for a server that is to be stopped: nothing is lost and nothing comes twice where the private channel can be used. */
  refresh(): void {
    this.#succession.replace('refreshed', new Error('refreshed'));
  }

  /** Ends it; its scope does the same. Iterators give what they have, and end. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Messages and gaps from now on, up to `maxBuffered` of them kept; each iterator gets all. It also ends when the scope in
   * which it is opened closes or is cancelled, and, with what has come, when that of the subscriber begins to close.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<M> | Gap, undefined> {
    return this.#outlets.open();
  }

  /** Also when the scope is cancelled: tasks that iterate are to end then, before the scope gives up waiting for them. */
  #endWith(scope: Scope): () => void {
    const { signal } = scope;
    const close = () => this.close();
    const forget = scope.onClose(close, { name: `subscriber ${this.name}` });
    signal.addEventListener('abort', close, { once: true });
    return () => {
      forget();
      signal.removeEventListener('abort', close);
    };
  }

  #heir() {
    const decoding = this.#decoding;
    const onMessage = (message: Message<M>) => this.#onMessage(message);
    const onCoded = (message: Message<M>) => {
      const decoded = decoding?.decode(message);
      if (decoded) onMessage(decoded);
    };
    return {
      onMessage: decoding ? onCoded : onMessage,
      onPing: (epoch: number, rttMs: number) => this.#tell('ping', { epoch, rttMs }),
      onDown: (epoch: number, reason: DownReason, error: Error) => {
        this.#become('down');
        this.#tell('down', { epoch, reason, error });
      },
      onRetry: (failures: number, error: Error, nextMs: number) => this.#tell('retry', { failures, error, nextMs }),
      onSucceeded: (epoch: number, gap: Gap | undefined) => {
        this.#epoch = epoch;
        if (!gap) return;
        this.#outlets.giveGap(gap);
        this.#tell('gap', gap);
      },
      onUp: (epoch: number, gap: Gap | undefined) => {
        this.#become('up');
        this.#tell('up', { epoch, gap });
      },
      onRefused: (error: Error) => this.#onRefused(error),
    };
  }

  #onMessage(message: Message<M>): void {
    const { channel, pattern, sharded } = message;
    const kind = pattern !== undefined ? 'psubscribe' : sharded ? 'ssubscribe' : 'subscribe';
    // It may be on its way still when it is not wanted any more.
    if (this.#ended || !this.#wanted.isStill(kind, pattern ?? channel)) return;
    this.#outlets.give(message, this.#succession);
    this.#tell('message', message);
  }

  #onRefused(error: Error): void {
    const isHeard = this.listenerCount('failed') + this.#outlets.size + this.#waiting > 0;
    this.#end('failed', error);
    if (isHeard) this.#tell('failed', error);
    else this.#scope.report(error, `subscriber ${this.name}`);
  }

  #tell<K extends Exclude<keyof SubscriberEvents, 'handler-error'>>(event: K, told: SubscriberEvents<M>[K][0]): void {
    this.#listeners.tell(event, told);
  }

  async #add(kind: Kind, names: readonly string[]): Promise<void> {
    checkNames(`subscriber.${kind}()`, names);
    if (this.#ended) throw this.#ended;
    const added = names.map((name) => this.#wanted.add(kind, name));
    void this.#succession.sync();
    this.#waiting++;
    try {
      await Promise.all(added);
    } finally {
      this.#waiting--;
    }
  }

  async #remove(kind: Kind, names: readonly string[]): Promise<void> {
    checkNames(`subscriber.${UNDO[kind]}()`, names);
    if (this.#ended) return;
    for (const name of names) this.#wanted.remove(kind, name);
    // A connection that is made from now on has never heard of them.
    await this.#succession.sync();
  }

  #become(status: SubscriberStatus): void {
    this.#status = status;
    this.#changed.ring();
  }

  #end(status: 'failed' | 'closed', error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#become(status);
    this.#wanted.end(error);
    this.#decoding?.end();
    this.#outlets.end(status === 'failed' ? { error } : {});
  }

  async #close(): Promise<void> {
    this.#end('closed', new SubscriberClosedError(this.name));
    await this.#succession.close();
    // Not before: until then the scope waits for it.
    this.#letGo();
  }
}
