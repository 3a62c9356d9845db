import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect, onTestFinished } from 'vitest';
import type { DevRedis } from '../../dev/redis-server.ts';
import { until } from '../support/until.ts';
import { type Heard, missing, numbersOf, outOfOrder, unexplained } from './support.ts';

/** Publishes, and tells when the server did. */
const SCRIPT = (command: string) => `redis.call('${command}', KEYS[1], ARGV[1]); return redis.call('TIME')`;

/** Publishes numbers from 0, one after the other, at a server, or wherever that says that the channel has gone. */
export class FollowingPublisher {
  /** When a node published each, in milliseconds since 1970; those of which nobody knows are NaN. */
  readonly publishedAt: number[] = [];
  readonly #connections = new Map<string, Redis>();
  readonly #script: string;
  readonly #channel: string;
  readonly #running: Promise<void>;
  readonly #find: (() => Promise<number>) | undefined;
  #nodes: readonly string[];
  #isOver = false;

  /** @param where Servers, tried in turn when one fails; or what is asked for the port of the right one each time. */
  constructor(where: readonly DevRedis[] | (() => Promise<number>), channel: string, command: 'PUBLISH' | 'SPUBLISH') {
    this.#nodes = typeof where === 'function' ? [] : where.map(({ host, port }) => `${host}:${port}`);
    this.#find = typeof where === 'function' ? where : undefined;
    this.#channel = channel;
    this.#script = SCRIPT(command);
    this.#running = this.#run();
    onTestFinished(async () => {
      await this.stop();
      for (const connection of this.#connections.values()) connection.disconnect();
    });
  }

  /** How many were sent. */
  get sent(): number {
    return this.publishedAt.length;
  }

  /** Those that a node has published for sure. */
  published(numbers: readonly number[]): readonly number[] {
    return numbers.filter((number) => !Number.isNaN(this.publishedAt[number]));
  }

  /** The last of them. */
  get last(): number {
    return this.published([...this.publishedAt.keys()]).at(-1) ?? -1;
  }

  /** @returns how many were sent. */
  async stop(): Promise<number> {
    this.#isOver = true;
    await this.#running;
    return this.sent;
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#isOver; number++) {
      this.publishedAt[number] = await this.#publish(number);
      await sleep(1);
    }
  }

  async #publish(number: number): Promise<number> {
    const found = await this.#find?.().catch(() => undefined);
    if (found !== undefined) this.#nodes = [`127.0.0.1:${found}`];
    const [node = '', ...others] = this.#nodes;
    try {
      const [seconds, micros] = (await this.#connection(node).eval(this.#script, 1, this.#channel, `${number}`)) as [string, string];
      return Math.floor(Number(seconds) * 1_000 + Number(micros) / 1_000);
    } catch (error) {
      const [, to] = /^(?:ReplyError: )?MOVED \d+ (\S+)$/.exec((error as Error).message) ?? [];
      this.#nodes = to ? [to, ...this.#nodes.filter((known) => known !== to)] : [...others, node];
      return to ? this.#publish(number) : Number.NaN;
    }
  }

  #connection(node: string): Redis {
    const known = this.#connections.get(node);
    if (known) return known;
    const connection = new Redis(`redis://${node}`, { connectionName: 'publisher', commandTimeout: 500, maxRetriesPerRequest: 0 });
    connection.on('error', () => {});
    this.#connections.set(node, connection);
    return connection;
  }
}

/** Numbers come again, and what did not come is in a gap; nothing came twice, and all in order. */
export async function expectExplained({ messages, gaps, subscriber }: Heard, publisher: FollowingPublisher): Promise<void> {
  const from = publisher.sent;
  const epoch = subscriber.epoch;
  await until(() => messages.some(({ message, epoch: over }) => Number(message) > from && over >= epoch), { timeoutMs: 20_000 });
  const sent = await publisher.stop();
  await until(() => Number(messages.at(-1)?.message) >= publisher.last);
  const numbers = numbersOf(messages);
  expect(outOfOrder(numbers)).toEqual([]);
  expect(unexplained(publisher.published(missing(numbers, sent, 0)), publisher, gaps)).toEqual([]);
}
