import { now, wallTime, within } from '../clock.ts';
import { ConnectTimeoutError, SubscriberRefusedError } from '../errors.ts';
import { type ConnectionConfig, cut, dial, disconnect, ping } from '../redis/connection.ts';
import type { Redis } from '../redis/ioredis.ts';
import { hear } from './hearing.ts';
import { isPrivate, type Markable } from './marks.ts';
import type { Message } from './messages.ts';
import { KINDS, type Kind, UNDO, type Wanted } from './wanted.ts';

/** What a line is made of. */
export interface LineConfig {
  readonly subscriber: string;
  readonly connection: ConnectionConfig;
  readonly binary: boolean;
  /** The private channel, by which a line knows how far it is. */
  readonly channel: string;
  readonly epoch: number;
}

/** What a line tells; each once. */
export interface LineEvents {
  onEnd(error: Error): void;
  onMoved(): void;
}

/** Of one command; each name is an argument of a call. */
const MOST_NAMES = 1_000;

/** What the server says of a name that it would say again. The others pass: MOVED, CLUSTERDOWN, LOADING. */
const REFUSED = /^(?:ERR|NOPERM) /;

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
  /** Resolves when it has ended. */
  readonly end: Promise<void>;
  /** Whether it hears its private channel. */
  isMarkable = false;
  /** Whether what comes is thrown away. */
  isStopped = false;
  events: LineEvents | undefined;
  /** Where it leads to. */
  readonly address: string;
  readonly #connection: Redis;
  readonly #config: LineConfig;
  /** What was subscribed to, with the acknowledgements. */
  readonly #asked: Readonly<Record<Kind, Map<string, Promise<unknown>>>> = {
    subscribe: new Map(),
    psubscribe: new Map(),
    ssubscribe: new Map(),
  };
  readonly #marks = new Map<string, () => void>();
  #held: Message<M>[] = [];
  #taker: ((message: Message<M>) => void) | undefined;

  private constructor(connection: Redis, config: LineConfig) {
    this.#connection = connection;
    this.#config = config;
    this.epoch = config.epoch;
    const { remoteAddress, remotePort } = connection.stream as { remoteAddress?: string; remotePort?: number };
    this.address = `${connection.options.path ?? remoteAddress}:${remotePort}`;
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

  /** Subscribes to what is wanted and to nothing else, and waits until the server has acknowledged it. @throws what the server says, or why the line has ended. */
  async sync(wanted: Wanted): Promise<void> {
    await Promise.all(KINDS.map((kind) => this.#syncKind(kind, wanted)));
  }

  /** Whether it has been asked for that. After {@link sync}, what was wanted before is acknowledged. */
  has(kind: Kind, name: string): boolean {
    return this.#asked[kind].has(name);
  }

  ping(): Promise<void> {
    return ping(this.#connection);
  }

  /** From now on messages go there, those first that were kept. */
  take(taker: (message: Message<M>) => void): void {
    this.#taker = taker;
    for (const message of this.#held.splice(0)) if (this.#taker === taker) taker(message);
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
    const marking = this.#connection.subscribe(this.#config.channel).then(
      () => {
        this.isMarkable = true;
      },
      // Who may not goes without.
      () => {},
    );
    await Promise.all([marking, this.sync(wanted)]);
  }

  async #syncKind(kind: Kind, wanted: Wanted): Promise<void> {
    const asked = this.#asked[kind];
    const more = wanted.names(kind).filter((name) => !asked.has(name));
    const fewer = [...asked.keys()].filter((name) => !wanted.has(kind, name));
    for (const names of inPieces(more, kind === 'ssubscribe' ? 1 : MOST_NAMES)) this.#ask(kind, names, wanted);
    for (const name of fewer) asked.delete(name);
    const undone = inPieces(fewer, kind === 'ssubscribe' ? 1 : MOST_NAMES).map((names) => this.#connection[UNDO[kind]](...names));
    await Promise.all([...asked.values(), ...undone]);
  }

  #ask(kind: Kind, names: readonly string[], wanted: Wanted): void {
    const asked = this.#asked[kind];
    const answered = this.#connection[kind](...names).catch((error: Error) => {
      for (const name of names) if (asked.get(name) === answered) asked.delete(name);
      if (error.name !== 'ReplyError' || !REFUSED.test(error.message)) throw error;
      // It does not say which one.
      if (names.length > 1) return this.#askOneByOne(kind, names, wanted);
      const refusal = new SubscriberRefusedError(this.#config.subscriber, error, names);
      if (!names.every((name) => wanted.refuse(kind, name, refusal))) throw refusal;
    });
    // Whoever waits for it hears of it all the same.
    answered.catch(() => {});
    for (const name of names) asked.set(name, answered);
  }

  async #askOneByOne(kind: Kind, names: readonly string[], wanted: Wanted): Promise<void> {
    const asked = this.#asked[kind];
    const still = names.filter((name) => wanted.has(kind, name) && !asked.has(name));
    for (const name of still) this.#ask(kind, [name], wanted);
    await Promise.all(still.map((name) => asked.get(name)));
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
    connection.on('moved', () => this.events?.onMoved());
    hear<M>(connection, this.#config.binary, (channel, message, pattern, sharded) => this.#hear(channel, message, pattern, sharded));
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

/** Sharded channels of one command would have to be of one slot, hence pieces of one. */
function inPieces(names: readonly string[], size: number): (readonly string[])[] {
  return Array.from({ length: Math.ceil(names.length / size) }, (_, piece) => names.slice(piece * size, (piece + 1) * size));
}
