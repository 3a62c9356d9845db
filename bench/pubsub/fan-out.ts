import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { Crew } from './crew.ts';
import type { Subject } from './subjects.ts';

const PER_SECOND = 70;
/** As long as a tweet with all that is known of it: https://matthiasnehlsen.com/blog/2014/11/07/Building-Systems-in-Clojure-4/ */
const BYTES = 2_500;

/** To how many processes, with one subscriber each, and for how long. */
export interface Audience {
  readonly processes: number;
  readonly seconds: number;
}

/** What came of it. */
export interface FannedOut {
  readonly name: string;
  readonly processes: number;
  readonly expected: number;
  readonly delivered: number;
  readonly strays: number;
  readonly gaps: number;
  /** Of one core, from the first message to the last. */
  readonly redisCpuPercent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Publishes to all of them. */
export async function fanOut(subject: Subject, redis: Redis, url: string, { processes, seconds }: Audience): Promise<FannedOut> {
  const channel = `fan-out:${subject.name}`;
  const crew = await Crew.start(processes, { subject, url, channel, connections: 1 });
  try {
    const begun = performance.now();
    const cpuBefore = await cpuMsOf(redis);
    const published = await publish(redis, channel, seconds * PER_SECOND);
    const { delivered, strays, gaps, latenciesMs } = await crew.account(published);
    const cpuMs = (await cpuMsOf(redis)) - cpuBefore;
    const sorted = Float64Array.from(latenciesMs).sort();
    return {
      name: subject.name,
      processes,
      expected: published * crew.connections,
      delivered,
      strays,
      gaps,
      redisCpuPercent: (cpuMs * 100) / (performance.now() - begun),
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
    };
  } finally {
    await crew.end();
  }
}

/** @returns how many the server has confirmed. */
async function publish(redis: Redis, channel: string, count: number): Promise<number> {
  const padding = 'x'.repeat(BYTES);
  const replies: Promise<number>[] = [];
  const begun = performance.now();
  for (let number = 1; number <= count; number++) {
    const dueMs = begun + (number * 1_000) / PER_SECOND - performance.now();
    if (dueMs > 0) await sleep(dueMs);
    replies.push(redis.publish(channel, `${number} ${process.hrtime.bigint()} ${padding}`.slice(0, BYTES)));
  }
  return (await Promise.all(replies)).length;
}

/** Processor time that the server has taken so far, in milliseconds. */
async function cpuMsOf(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = (which: string) => Number(new RegExp(`^used_cpu_${which}:(.*)\\r$`, 'm').exec(info)?.[1]);
  return (seconds('sys') + seconds('user')) * 1_000;
}

function quantile(sorted: Float64Array, part: number): number {
  return sorted[Math.floor(sorted.length * part)] ?? Number.NaN;
}
