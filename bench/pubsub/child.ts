// A process of its own: subscribers share its event loop with each other alone.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Subject } from './subjects.ts';
import { Tally } from './tally.ts';

/** What a child is begun with. */
export interface Assignment {
  readonly subject: Subject;
  readonly url: string;
  readonly channel: string;
  readonly connections: number;
  /** It says so each time when so many more have come over all connections; else when each message was sent is in it, and is compared. */
  readonly batch?: number;
}

/** What it is asked: what has come, when all has come up to a number, or after so long. */
export interface Question {
  readonly upTo: number;
  readonly withinMs: number;
}

/** That it is subscribed; up to which number all has come; an answer. */
export type Report = 'ready' | number | Account;

/** What has come over all connections. */
export interface Account {
  readonly delivered: number;
  readonly strays: number;
  readonly gaps: number;
  /** Of the whole process, in microseconds. */
  readonly cpuUs: number;
  /** From before PUBLISH until the listener is called, in milliseconds; of each message since the last answer. */
  readonly latenciesMs: readonly number[];
}

type Hear = (message: string) => void;

const { subject, url, channel, connections, batch } = JSON.parse(process.argv[2] ?? '') as Assignment;
const tallies = Array.from({ length: connections }, () => new Tally());
/** Over how many connections the end of a batch has come. */
const passed = new Map<number, number>();
let latenciesMs: number[] = [];
let gaps = 0;

async function main(): Promise<void> {
  process.once('disconnect', () => process.exit());
  // It may have happened before.
  if (!process.connected) process.exit();
  const hears = tallies.map((tally) => (batch === undefined ? timing(tally) : batching(tally, batch)));
  await (subject.library === 'ioredis' ? subscribePlain(hears) : subscribeOurs(hears));
  process.on('message', async (question: Question) => tell(await answer(question)));
  tell('ready');
}

function tell(report: Report): void {
  process.send?.(report);
}

function timing(tally: Tally): Hear {
  return (message) => {
    const [number, sentAt] = message.split(' ', 2).map(Number);
    tally.add(number ?? Number.NaN);
    latenciesMs.push((Number(process.hrtime.bigint()) - (sentAt ?? Number.NaN)) / 1e6);
  };
}

function batching(tally: Tally, size: number): Hear {
  return (message) => {
    const number = Number.parseInt(message, 10);
    tally.add(number);
    if (number % size === 0) pass(number);
  };
}

function pass(number: number): void {
  const times = (passed.get(number) ?? 0) + 1;
  passed.set(number, times);
  if (times < connections) return;
  passed.delete(number);
  tell(number);
}

async function subscribePlain(hears: readonly Hear[]): Promise<void> {
  const subscribe = async (hear: Hear) => {
    const redis = new Redis(url);
    redis.on('message', (_, message) => hear(message));
    await redis.subscribe(channel);
  };
  await Promise.all(hears.map(subscribe));
}

async function subscribeOurs(hears: readonly Hear[]): Promise<void> {
  const { Scope } = await import('../../src/index.ts');
  const { createSubscriber } = await import('../../src/pubsub/index.ts');
  const scope = new Scope({ parent: null, name: 'bench' });
  const { pingMs } = subject;
  const subscribe = (hear: Hear, place: number) => {
    const subscriber = scope.run(() => createSubscriber(`bench-${place}`, { url, channels: [channel], pingMs }));
    subscriber.on('message', ({ message }) => hear(message));
    subscriber.on('gap', () => gaps++);
    return subscriber.synced();
  };
  await Promise.all(hears.map(subscribe));
}

async function answer({ upTo, withinMs }: Question): Promise<Account> {
  const end = performance.now() + withinMs;
  while (tallies.some(({ last }) => last < upTo) && performance.now() < end) await sleep(10);
  const { user, system } = process.cpuUsage();
  const sum = (of: (tally: Tally) => number) => tallies.reduce((total, tally) => total + of(tally), 0);
  const account = {
    delivered: sum((tally) => tally.delivered),
    strays: sum((tally) => tally.strays),
    gaps,
    cpuUs: user + system,
    latenciesMs,
  };
  latenciesMs = [];
  return account;
}

await main();
