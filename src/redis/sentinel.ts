import { after, cancel } from '../clock.ts';
import { cut } from './connection.ts';
import { type Address, type Redis, type RedisOptions, SentinelConnector } from './ioredis.ts';
import { withoutArguments } from './secrets.ts';

/** What a sentinel did not know, or why it did not answer. */
interface Failure {
  readonly sentinel: string;
  readonly error: Error;
}

/** How long one sentinel may take of the time for connecting: so that, when all hang, what is left is for the server. */
interface Sentinels {
  readonly all: readonly Address[];
  readonly order: Order;
  readonly shareMs: number;
}

/** With sentinels among the options, those that let one pool ask them; else the options as they are. */
export function followingSentinels(options: RedisOptions, connectTimeoutMs: number): RedisOptions {
  const { sentinels, Connector } = options;
  if (!sentinels || Connector) return options;
  const ours: Sentinels = { all: sentinels, order: new Order(sentinels), shareMs: connectTimeoutMs / (sentinels.length + 1) };
  const OfPool = class extends PoolConnector {
    constructor(given: unknown) {
      super(given as RedisOptions, ours);
    }
  };
  return { ...options, Connector: OfPool as unknown as NonNullable<RedisOptions['Connector']> };
}

/** What the sentinels say of the server that they have led to: all that answer lead there still, the most elsewhere, or neither is certain. */
export type Word = 'same' | 'other' | 'unknown';

/** Asks the sentinels whether they still lead to the master that this connection leads to; nothing where none has led there. */
export function askAgain(connection: Redis): (() => Promise<Word>) | undefined {
  const { connector } = connection as unknown as { readonly connector: unknown };
  return connector instanceof PoolConnector && connection.options.role !== 'slave' ? () => connector.askAgain() : undefined;
}

/** Which sentinel is asked first: another one each time, from the last that led to the right server. */
class Order {
  readonly #sentinels: readonly Address[];
  #first = 0;

  constructor(sentinels: readonly Address[]) {
    this.#sentinels = sentinels;
  }

  next(): Address[] {
    const first = this.#first;
    this.#first = (first + 1) % this.#sentinels.length;
    return [...this.#sentinels.slice(first), ...this.#sentinels.slice(0, first)];
  }

  /** One that was not configured, but told of by another, is not remembered. */
  onRight(sentinel: Address | undefined): void {
    const place = sentinel ? this.#sentinels.indexOf(sentinel) : -1;
    if (place >= 0) this.#first = place;
  }
}

/**
 * ioredis' connector for Sentinel, made fit for one attempt to connect: it asks each sentinel once, gives none more than
 * its share of the time, and says what each of them said. What it opens to sentinels is closed with the attempt; where it
 * listens for failovers, with the connection.
 */
class PoolConnector extends SentinelConnector {
  readonly #ours: Sentinels;
  readonly #name: string;
  readonly #connectionName: string | undefined;
  readonly #clients = new Set<Redis>();
  readonly #failures: Failure[] = [];
  #asked: Address | undefined;
  /** Where that has led to. */
  #led: Address | null = null;
  #said: Error | undefined;
  #emit: (type: string, error: Error) => void = () => {};

  constructor(options: RedisOptions, ours: Sentinels) {
    super({ ...options, sentinels: ours.order.next(), sentinelRetryStrategy: () => null });
    this.#ours = ours;
    this.#name = `${options.role === 'slave' ? 'replica' : 'master'} of "${options.name}"`;
    this.#connectionName = options.connectionName;
  }

  override async connect(emit: (type: string, error: Error) => void): ReturnType<SentinelConnector['connect']> {
    this.#emit = emit;
    try {
      const stream = await super.connect(emit);
      stream.once('close', () => this.#cutAll());
      return stream;
    } catch (error) {
      throw this.#failures.length > 0 ? this.#summary() : error;
    }
  }

  override disconnect(): void {
    super.disconnect();
    this.#cutAll();
  }

  override check(info: { readonly role?: string }): boolean {
    const isRight = super.check(info);
    if (isRight) this.#ours.order.onRight(this.#asked);
    else
      this.#emit('error', new Error(`the sentinel ${shown(this.#asked)} leads to a server that is no ${this.#name}, but a ${info.role}`));
    return isRight;
  }

  override async resolve(sentinel: Address): ReturnType<SentinelConnector['resolve']> {
    const { shareMs } = this.#ours;
    const late = new Error(`no answer within ${Math.round(shareMs)} ms`);
    const timer = after(shareMs, () => {
      this.#said = late;
      this.#cutAll();
    });
    this.#asked = sentinel;
    this.#said = undefined;
    try {
      const address = await super.resolve(sentinel);
      this.#led = address;
      if (!address) this.#fail(new Error(`knows no ${this.#name}`));
      return address;
    } catch (error) {
      this.#fail(this.#said ?? (error as Error));
      throw error;
    } finally {
      cancel(timer);
      this.#cutAll();
    }
  }

  /** Of all, for they do not learn of a failover at the same time. */
  async askAgain(): Promise<Word> {
    const answers = await Promise.all(this.#ours.all.map((sentinel) => this.#ask(sentinel)));
    const known = answers.filter((address) => address !== undefined);
    const others = known.filter(({ host, port }) => host !== this.#led?.host || port !== this.#led?.port);
    if (others.length * 2 > known.length) return 'other';
    return others.length === 0 && known.length > 0 ? 'same' : 'unknown';
  }

  /** @returns nothing when it does not know, or does not answer. */
  async #ask(sentinel: Address): Promise<Address | undefined> {
    const client = this.connectToSentinel(sentinel);
    const timer = after(this.#ours.shareMs, () => cut(client));
    try {
      return (await this.resolveMaster(client)) ?? undefined;
    } catch {
      return undefined;
    } finally {
      cancel(timer);
      cut(client);
      this.#clients.delete(client);
    }
  }

  override connectToSentinel(sentinel: Address, options?: RedisOptions): Redis {
    const client = super.connectToSentinel(sentinel, { ...options, autoResubscribe: false, connectionName: this.#connectionName });
    client.disconnect = () => cut(client);
    this.#clients.add(client);
    // It listens for failovers. Subscribing again by itself, ioredis would leave nobody to hear of a failure, and the process would end.
    if (options?.lazyConnect) client.on('ready', () => void client.subscribe('+switch-master').catch(() => {}));
    // ioredis says only that the connection is closed; why, it has said before.
    return client.on('error', (error: Error) => {
      this.#said ??= error;
    });
  }

  #fail(error: Error): void {
    this.#failures.push({ sentinel: shown(this.#asked), error: withoutArguments(error) });
  }

  #summary(): Error {
    const said = this.#failures.map(({ sentinel, error }) => `${sentinel}: ${error.message}`).join('; ');
    const errors = this.#failures.map(({ error }) => error);
    return new AggregateError(errors, `no sentinel leads to a ${this.#name} (${said})`);
  }

  #cutAll(): void {
    for (const client of this.#clients) cut(client);
    this.#clients.clear();
  }
}

function shown(sentinel: Address | undefined): string {
  return `${sentinel?.host ?? '127.0.0.1'}:${sentinel?.port ?? 26_379}`;
}
