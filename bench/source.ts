import { Redis } from 'ioredis';
import { Random } from '../dev/random.ts';
import { startRedis } from '../dev/redis-server.ts';
import { ahead, resume, type Source, withRoot } from '../src/index.ts';
import { defineRedisPool, redisStream } from '../src/redis/index.ts';
import { type BenchOptions, type BenchResult, interleave, median, type Rounds, ratio, type Subject } from './bench.ts';

const ITEMS = 1_000_000;
const FAULTS_ONE_IN = 1_000;
/** Of the rate of a plain generator, as a part of it: the least that counts as kept. */
const LEAST = { resume: 0.35, faults: 0.25 };

interface Plan {
  readonly rounds: Rounds;
  readonly entries: number;
  readonly readings: number;
}

const QUICK: Plan = { rounds: { rounds: 5, loops: 100_000 }, entries: 50_000, readings: 2 };
const FULL: Plan = { rounds: { rounds: 15, loops: ITEMS }, entries: 300_000, readings: 5 };

/** What a source that survives its failures costs an item, against a plain async generator; and how fast a Redis stream is read. */
export async function bench({ quick, seed = 4 }: BenchOptions): Promise<BenchResult> {
  const { rounds, entries, readings } = quick ? QUICK : FULL;
  const random = new Random(seed);
  const { restarts, isExact } = await readFaulty(random);
  const subjects: Readonly<Record<string, Subject>> = {
    'async generator': (items) => exhaust(numbersTo(items)),
    resume: (items) => exhaust(resume(source(items), 0)),
    'resume, 1 of 1,000 takes fails': (items) => exhaust(resume(faulty(items, random), 0, { minDelayMs: 0 })),
    'resume, ahead(1,024)': (items) => exhaust(ahead(resume(source(items), 0), 1_024)),
  };
  const times = await interleave(Object.values(subjects), rounds);
  const perSecond = await readStream(entries, readings);
  const ratioOf = (place: number) => ratio(times[0], times[place]);
  return {
    rows: [
      ...Object.keys(subjects).map((subject, place) => ({
        subject,
        medianNs: Math.round(times[place] ?? Number.NaN),
        rate: ratioOf(place),
      })),
      { subject: 'redisStream', medianNs: Math.round(1e9 / perSecond), rate: ratio(times[0], 1e9 / perSecond) },
    ],
    figures: {
      items: ITEMS,
      restarts,
      order_exact: isExact,
      ratios: { resume_vs_generator: ratioOf(1), faults_vs_generator: ratioOf(2) },
      redis_items_per_second: Math.round(perSecond),
    },
    failure: failureOf(isExact, ratioOf(1), ratioOf(2), quick),
  };
}

/** A short run says nothing of rates. */
function failureOf(isExact: boolean, ofResume: number, withFaults: number, quick: boolean): string | undefined {
  if (!isExact) return 'items are missing, came twice or out of order';
  if (quick) return undefined;
  if (ofResume < LEAST.resume) return `resume gives ${ofResume} times what a generator does, less than ${LEAST.resume}`;
  return withFaults < LEAST.faults
    ? `with faults resume gives ${withFaults} times what a generator does, less than ${LEAST.faults}`
    : undefined;
}

/** The log of the document: each take may fail. */
async function readFaulty(random: Random): Promise<{ readonly restarts: number; readonly isExact: boolean }> {
  let restarts = 0;
  let count = 0;
  let isExact = true;
  for await (const item of resume(faulty(ITEMS, random), 0, { minDelayMs: 0, onRestart: () => void restarts++ }))
    isExact &&= item === count++;
  return { restarts, isExact: isExact && count === ITEMS };
}

/** @returns entries per second, the median of the readings. */
async function readStream(entries: number, readings: number): Promise<number> {
  const server = await startRedis({ fresh: true });
  const redis = new Redis(server.url);
  try {
    await redis.eval(`for n = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'n', n) end`, 1, 'log', entries);
    const pool = defineRedisPool('bench', { url: server.url });
    const rates: number[] = [];
    for (let reading = 0; reading < readings; reading++) rates.push(await withRoot(() => rateOf(redisStream(pool, 'log'), entries)));
    return median(rates);
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

async function rateOf(log: ReturnType<typeof redisStream>, entries: number): Promise<number> {
  const begun = performance.now();
  let count = 0;
  for await (const { fields } of resume(log, undefined)) {
    if (Number(fields.n) !== ++count) throw new Error(`entry ${fields.n} came as number ${count}`);
    if (count === entries) break;
  }
  return (entries * 1_000) / (performance.now() - begun);
}

async function exhaust(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

async function* numbersTo(end: number): AsyncGenerator<number> {
  for (let number = 0; number < end; number++) yield number;
}

function source(end: number): Source<number, number> {
  return async function* numbers(from) {
    for (let number = from; number < end; number++) yield [number, number + 1];
  };
}

function faulty(end: number, random: Random): Source<number, number> {
  return async function* numbers(from) {
    for (let number = from; number < end; number++) {
      if (random.between(1, FAULTS_ONE_IN) === 1) throw new Error('connection lost');
      yield [number, number + 1];
    }
  };
}
