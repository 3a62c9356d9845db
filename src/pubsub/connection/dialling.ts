import { after, cancel, type Timer, within } from '../../clock.ts';
import { connectionConfig } from '../../redis/config.ts';
import { type ConnectionConfig, cut, dial } from '../../redis/connection.ts';
import { Bell } from '../bell.ts';
import { type ConnectContext, checkConnect, type SubscriberOptions, withGiven } from '../options.ts';
import type { Wanted } from '../wanted.ts';
import { Line } from './line.ts';
import { privateChannel } from './marks.ts';

/** How long the server may take to publish a mark, in milliseconds. */
const PUBLISH_MS = 1_000;

/** Makes lines, one at a time, until it is over. */
export class Dialling<M> {
  /** The private channel of all lines. */
  readonly channel: string;
  /** Why the last line ended, or could not be made; nothing where there was none, or it is to be refreshed. */
  error: unknown;
  readonly #name: string;
  readonly #options: SubscriberOptions;
  readonly #wanted: Wanted;
  readonly #over = new Bell();
  #end: { readonly reason: Error } | undefined;
  #connection: ConnectionConfig;
  #attempt = new AbortController();
  #line: Line<M> | undefined;

  constructor(name: string, options: SubscriberOptions, wanted: Wanted) {
    this.#name = name;
    // Whoever is asked where to connect may know the subscriber by it.
    this.#options = { ...options };
    this.#wanted = wanted;
    this.#connection = connectionConfig('subscriber', name, options);
    this.channel = privateChannel(this.#connection.service, name);
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Whatever is being made is cut, and nothing is made any more. */
  end(reason: Error): void {
    this.#end ??= { reason };
    this.#over.ring();
    this.#attempt.abort(reason);
    this.cut();
  }

  /** Waits, but no longer than until it is over. */
  async pause(ms: number): Promise<void> {
    if (this.isOver) return;
    let timer: Timer | undefined;
    await this.#over.orHeard(
      new Promise<void>((resolve) => {
        timer = after(ms, resolve);
      }),
    );
    cancel(timer);
  }

  /** @throws why there is none. */
  async open(epoch: number, failures: number): Promise<Line<M>> {
    // One for each attempt, or the listeners of all attempts would gather.
    this.#attempt = new AbortController();
    this.#connection = await this.#configOf(failures);
    if (this.#end) throw this.#end.reason;
    const { channel } = this;
    const { binary = false, connect } = this.#options;
    const canFollow = connect !== undefined;
    const config = { subscriber: this.#name, canFollow, connection: this.#connection, binary, channel, epoch };
    const line = await Line.open<M>(config, this.#wanted, this.#attempt.signal);
    this.#line = line;
    // It may have been too late to hear of it.
    if (this.isOver) this.cut();
    return line;
  }

  /** Publishes on the private channel, over a connection of its own: not every protocol lets a subscribed one do that. @throws where that is not allowed. */
  async publish(mark: string): Promise<void> {
    const { signal } = this.#attempt;
    const connection = await dial(this.#connection, signal);
    try {
      const published = this.#over.orHeard(connection.publish(this.channel, mark));
      if ((await within(published, PUBLISH_MS)) === 'late') throw new Error(`PUBLISH was not answered within ${PUBLISH_MS} ms`);
    } finally {
      cut(connection);
    }
  }

  /** The line that was made is somebody else's now. */
  release(): Line<M> | undefined {
    const line = this.#line;
    this.#line = undefined;
    return line;
  }

  /** The line that was made is of no use. */
  cut(): void {
    this.release()?.cut();
  }

  async #configOf(failures: number): Promise<ConnectionConfig> {
    const { connect } = this.#options;
    if (!connect) return this.#connection;
    const { connectTimeoutMs } = this.#connection;
    const asked = (async () => connect(this.#context(failures)))();
    const given = await within(this.#over.orHeard(asked), connectTimeoutMs);
    if (given === 'late') {
      const late = new Error(`subscriber "${this.#name}": its connect() did not answer within ${connectTimeoutMs} ms`);
      this.#attempt.abort(late);
      throw late;
    }
    const options = withGiven(this.#options, given.value ?? {});
    checkConnect(this.#name, options);
    return connectionConfig('subscriber', this.#name, options);
  }

  #context(failures: number): ConnectContext {
    return {
      failures,
      error: this.error,
      subscriber: this.#name,
      options: this.#options,
      shardChannels: this.#wanted.names('ssubscribe'),
      signal: this.#attempt.signal,
    };
  }
}
