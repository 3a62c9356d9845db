import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { Scope } from 'scoped-pool';
import { createSubscriber, type Gap, type Message, type Subscriber, type SubscriberOptions } from 'scoped-pool/pubsub';
import { expect, onTestFinished } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { uncaught } from '../support/events.ts';
import type { TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** What a subscriber told, in order. */
export interface Told {
  readonly event: string;
  readonly told: unknown;
  /** When. */
  readonly at: number;
}

/** A subscriber, and all that it told. */
export interface Heard {
  readonly scope: Scope;
  readonly subscriber: Subscriber;
  readonly events: readonly Told[];
  readonly messages: readonly Message[];
  readonly gaps: readonly Gap[];
  /** What was reported to the scope. */
  readonly reports: readonly unknown[];
  /** What events of that name told. */
  of(event: string): readonly unknown[];
}

let subscribers = 0;

/** A name that no other subscriber of the process has. */
export const subscriberName = () => `subscriber-${++subscribers}`;

/** Opens a subscriber in a root of its own, which is closed with the test; nothing may be reported or unhandled unless the test says so. */
export function listening(options: SubscriberOptions, name = subscriberName()): Heard {
  const unhandled = uncaught('unhandledRejection');
  const reports: unknown[] = [];
  const scope = new Scope({ parent: null, name: 'root', onSuppressed: (error) => void reports.push(error) });
  onTestFinished(async () => {
    await scope.close();
    expect(unhandled).toEqual([]);
  });
  const subscriber = scope.run(() => createSubscriber(name, { service: 'test', connectTimeoutMs: 2_000, ...options, binary: false }));
  const events: Told[] = [];
  const messages: Message[] = [];
  const gaps: Gap[] = [];
  for (const event of ['down', 'retry', 'up', 'failed', 'ping'] as const) {
    subscriber.on(event, (told: unknown) => void events.push({ event, told, at: performance.now() }));
  }
  subscriber.on('message', (message) => void messages.push(message));
  subscriber.on('gap', (gap) => void gaps.push(gap));
  const of = (event: string) => events.filter((one) => one.event === event).map(({ told }) => told);
  return { scope, subscriber, events, messages, gaps, reports, of };
}

/** A proxy in front of the server, until the test ends. */
export async function proxyTo(redis: TestRedis): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(redis.server);
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** Leads to the server, but for what it never hears, and what it says and nobody hears. */
export async function serverDeafTo(
  { server: { port, host } }: Pick<TestRedis, 'server'>,
  words: RegExp,
  unheard: RegExp = NOTHING,
): Promise<{ readonly url: string; readonly open: ReadonlySet<Socket> }> {
  const open = new Set<Socket>();
  const listener = createServer((client) => {
    const server = connect(port, host);
    open.add(client.once('close', () => open.delete(client) && server.destroy()));
    for (const socket of [client, server]) socket.on('error', () => {});
    server.on('data', (bytes) => unheard.test(String(bytes)) || client.write(bytes)).once('close', () => client.destroy());
    client.on('data', (bytes) => words.test(String(bytes)) || server.write(bytes));
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  onTestFinished(() => void listener.close());
  return { url: `redis://127.0.0.1:${(listener.address() as AddressInfo).port}`, open };
}

const NOTHING = /(?!)/;

/** Publishes, and tells when the server did. */
const PUBLISH = `redis.call('PUBLISH', KEYS[1], ARGV[1]); return redis.call('TIME')`;
const TICK_MS = 10;

/** Publishes numbers from 0, at a rate, and knows when the server had each. */
export class NumberPublisher {
  /** When the server published each, in milliseconds since 1970, by its number. */
  readonly publishedAt: number[] = [];
  readonly #connection: Redis;
  readonly #channel: string;
  readonly #perTick: number;
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  readonly #begun = performance.now();

  constructor(redis: TestRedis, channel: string, perSecond: number) {
    this.#connection = new Redis(redis.url, { connectionName: 'publisher' });
    this.#connection.on('error', () => {});
    this.#channel = channel;
    this.#perTick = perSecond / 1_000;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    onTestFinished(() => {
      clearInterval(this.#timer);
      this.#connection.disconnect();
    });
  }

  /** How many were sent. */
  get sent(): number {
    return this.#next;
  }

  /** Sends no more. @returns how many it was, when all are published. */
  async stop(): Promise<number> {
    clearInterval(this.#timer);
    await until(() => this.publishedAt.filter((at) => at > 0).length === this.#next, { timeoutMs: 10_000 });
    return this.#next;
  }

  /** However late the timer is, the rate is kept. */
  #tick(): void {
    const due = Math.floor((performance.now() - this.#begun) * this.#perTick);
    while (this.#next < due) void this.#publish(this.#next++);
  }

  async #publish(number: number): Promise<void> {
    this.publishedAt[number] = 0;
    const [seconds, micros] = (await this.#connection.eval(PUBLISH, 1, this.#channel, `${number}`)) as [string, string];
    this.publishedAt[number] = Math.floor(Number(seconds) * 1_000 + Number(micros) / 1_000);
  }
}

/** What came, as numbers. */
export const numbersOf = (messages: readonly Message[]): readonly number[] => messages.map(({ message }) => Number(message));

/** Numbers that came twice, or behind a greater one. */
export function outOfOrder(numbers: readonly number[]): readonly number[] {
  let greatest = -1;
  return numbers.filter((number) => {
    const isWrong = number <= greatest;
    greatest = Math.max(greatest, number);
    return isWrong;
  });
}

/** Those that did not come, from the first that did. */
export function missing(numbers: readonly number[], sent: number, first = numbers[0] ?? 0): readonly number[] {
  const came = new Set(numbers);
  return Array.from({ length: sent - first }, (_, index) => first + index).filter((number) => !came.has(number));
}

/** Numbers whose time of publication is in none of the gaps. */
export function unexplained(
  lost: readonly number[],
  { publishedAt }: Pick<NumberPublisher, 'publishedAt'>,
  gaps: readonly Gap[],
): readonly unknown[] {
  return lost.flatMap((number) => {
    const at = publishedAt[number] ?? 0;
    return gaps.some(({ after, before }) => after < at && at < before) ? [] : [{ number, at, gaps }];
  });
}
