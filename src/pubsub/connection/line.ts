import { now, wallTime, within } from '../../clock.ts';
import { ConnectTimeoutError, MasterMovedError, ShardChannelMovedError } from '../../errors.ts';
import { type ConnectionConfig, cut, dial, disconnect, ping } from '../../redis/connection.ts';
import type { Redis } from '../../redis/ioredis.ts';
import { askAgain } from '../../redis/sentinel.ts';
import type { Message } from '../messages.ts';
import type { Kind, Wanted } from '../wanted.ts';
import { type Hear, hear } from './hearing.ts';
import { isPrivate, type Markable } from './marks.ts';
import { Sharding } from './sharding.ts';
import { Subscriptions, type SubscriptionsOwner } from './subscriptions.ts';

/** What a line is made of. */
export interface LineConfig extends SubscriptionsOwner {
  readonly connection: ConnectionConfig;
  readonly binary: boolean;
  /** The private channel, by which a line knows how far it is. */
  readonly channel: string;
  readonly epoch: number;
}

/** What a line tells; each once. */
export interface LineEvents {
  onEnd(error: Error): void;
  onMoved(error: Error): void;
}

/** One subscribed connection. What comes is kept until somebody takes it. */
export class Line<M> implements Markable {
  readonly epoch: number;
  /** By the time of day: nothing was subscribed to before. */
  readonly openedAt = wallTime();
  /** By the time of day: whatever is published from now on comes, unless the line breaks. */
  subscribedAt = 0;
  /** How long it took to open it. */
  tookMs = 0;
  /** When anything came last. */
  heardAt = now();
  /** Why it has ended. */
  ended: Error | undefined;
  /** What is published does not come over it any more, or not all: its sharded channels, or the master, are elsewhere. */
  moved: Error | undefined;
  /** Resolves when it has ended. */
  readonly end: Promise<void>;
  /** Whether it hears its private channel. */
  isMarkable = false;
  /** Whether what comes is thrown away. */
  isStopped = false;
  events: LineEvents | undefined;
  /** Which server it leads to, whatever is in between: what that calls itself, else its address. */
  server: string;
  /** Whether that is a node of a cluster. */
  isCluster = false;
  readonly #connection: Redis;
  readonly #config: LineConfig;
  readonly #sharding: Sharding;
  readonly #subscriptions: Subscriptions;
  readonly #marks = new Map<string, () => void>();
  #held: Message<M>[] = [];
  #taker: ((message: Message<M>) => void) | undefined;

  private constructor(connection: Redis, config: LineConfig) {
    this.#connection = connection;
    this.#config = config;
    this.epoch = config.epoch;
    const { remoteAddress, remotePort } = connection.stream as { remoteAddress?: string; remotePort?: number };
    this.server = `${connection.options.path ?? remoteAddress}:${remotePort}`;
    this.#sharding = new Sharding(connection, (channel) => this.leave(new ShardChannelMovedError(config.subscriber, channel)));
    this.#subscriptions = new Subscriptions(connection, this.#sharding, config);
    this.end = this.#listen();
  }

  /** Connects and subscribes, within one deadline. @throws why not. */
  static async open<M>(config: LineConfig, wanted: Wanted, signal: AbortSignal): Promise<Line<M>> {
    const { owner, connectTimeoutMs } = config.connection;
    const begun = now();
    const connection = await dial(config.connection, signal);
    const line = new Line<M>(connection, config);
    // The end of the line ends the waiting below, too.
    const onAbort = () => line.cut();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const leftMs = Math.max(connectTimeoutMs - (now() - begun), 1);
      const late = await within(Promise.race([line.#subscribeAll(wanted), line.end]), leftMs);
      if (late === 'late') throw new ConnectTimeoutError(owner, 'subscribing', connectTimeoutMs);
      if (signal.aborted) throw signal.reason;
      if (line.ended) throw line.ended;
    } catch (error) {
      line.cut();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    line.subscribedAt = wallTime();
    line.tookMs = now() - begun;
    return line;
  }

  /** Whether it is of no use any more: nothing comes over it that anybody gets. */
  get isOver(): boolean {
    return this.isStopped || this.ended !== undefined;
  }

  /** As {@link Subscriptions.sync}. @throws also why the line has ended. */
  sync(wanted: Wanted): Promise<void> {
    return this.#subscriptions.sync(wanted);
  }

  /** As {@link Subscriptions.has}. */
  has(kind: Kind, name: string): boolean {
    return this.#subscriptions.has(kind, name);
  }

  /** Whether it leads to where messages are published, where sentinels have led there: a former master answers, too. */
  get isBelieved(): (() => Promise<boolean>) | undefined {
    const ask = askAgain(this.#connection);
    if (!ask) return undefined;
    return async () => {
      const word = await ask();
      if (word === 'other') this.leave(new MasterMovedError(this.#config.subscriber));
      return word === 'same';
    };
  }

  ping(): Promise<void> {
    return ping(this.#connection);
  }

  /** From now on messages go there, those first that were kept. */
  take(taker: (message: Message<M>) => void): void {
    this.#taker = taker;
    for (const message of this.#held.splice(0)) if (this.#taker === taker) taker(message);
  }

  /** It has been left behind. */
  leave(error: Error): void {
    if (this.moved) return;
    this.moved = error;
    this.events?.onMoved(error);
  }

  /** No message is taken or kept any more. */
  stop(): void {
    this.isStopped = true;
    this.#taker = () => {};
    this.#held = [];
  }

  /** What was kept so far is not wanted. */
  forget(): void {
    this.#held = [];
  }

  onMark(mark: string, fn: () => void): void {
    this.#marks.set(mark, fn);
  }

  offMark(mark: string): void {
    this.#marks.delete(mark);
  }

  cut(): void {
    this.events = undefined;
    this.stop();
    cut(this.#connection);
  }

  /** Closes, so that the server has forgotten it when this resolves. */
  close(): Promise<void> {
    this.events = undefined;
    this.stop();
    return disconnect(this.#connection);
  }

  async #subscribeAll(wanted: Wanted): Promise<void> {
    // Before all others: a subscribed connection may not ask.
    const asking = this.#askServer();
    const marking = this.#connection.subscribe(this.#config.channel).then(
      () => {
        this.isMarkable = true;
      },
      // Who may not goes without.
      () => {},
    );
    await Promise.all([asking, marking, this.sync(wanted)]);
  }

  /** What the server calls itself as long as it runs; not every user may ask. */
  async #askServer(): Promise<void> {
    const info = await this.#connection.info('server').catch(() => '');
    this.server = /^run_id:(\w+)/m.exec(info)?.[1] ?? this.server;
    this.isCluster = /^redis_mode:cluster/m.test(info);
  }

  /** @returns resolves when the connection has ended. */
  #listen(): Promise<void> {
    const connection = this.#connection;
    let cause: Error | undefined;
    connection.on('error', (error: Error) => {
      cause = error;
    });
    connection.stream.on('data', () => {
      this.heardAt = now();
    });
    const onMessage: Hear<M> = (channel, message, pattern, sharded) => this.#hear(channel, message, pattern, sharded);
    hear<M>(connection, this.#config.binary, onMessage, (kind, channel) => {
      if (kind === 'sunsubscribe') this.#sharding.onUnsubscribed(channel);
    });
    return new Promise((resolve) => {
      connection.once('end', () => {
        this.ended = cause ?? new Error('the connection was closed by the server, or on the way to it');
        resolve();
        this.events?.onEnd(this.ended);
      });
    });
  }

  #hear(channel: string, message: M, pattern: string | undefined, sharded: boolean): void {
    if (isPrivate(channel)) {
      // A pattern may match the private channels of all subscribers.
      if (channel === this.#config.channel && pattern === undefined) this.#marks.get(`${message}`)?.();
      return;
    }
    const { epoch } = this;
    const given: Message<M> =
      pattern === undefined
        ? { type: 'message', channel, sharded, message, epoch }
        : { type: 'message', channel, pattern, sharded, message, epoch };
    if (this.#taker) this.#taker(given);
    else this.#held.push(given);
  }
}
