import { Redis } from 'ioredis';
import { startRedis } from '../dev/redis-server.ts';
import { type BenchOptions, type BenchResult, median, ratio } from './bench.ts';
import type { Outcome } from './crew.ts';
import { type Audience, type FannedOut, fanOut } from './pubsub/fan-out.ts';
import { type Case, type Cost, measure } from './pubsub/rate.ts';
import { IOREDIS, IOREDIS_AGAIN, OURS, OURS_ASKING, type Subject } from './pubsub/subjects.ts';
import { failureOf } from './pubsub/verdict.ts';

interface Plan {
  readonly audience: Audience;
  /** Beside ours. */
  readonly fanOut: readonly Subject[];
  readonly rate: Case;
}

const QUICK: Plan = {
  audience: { processes: 10, seconds: 5 },
  fanOut: [],
  rate: { subjects: [IOREDIS, OURS_ASKING], starts: 1, warmUp: 2_000, rounds: 3, loops: 5_000 },
};
const FULL: Plan = {
  audience: { processes: 50, seconds: 20 },
  fanOut: [IOREDIS],
  rate: { subjects: [IOREDIS, IOREDIS_AGAIN, OURS_ASKING], starts: 4, warmUp: 20_000, rounds: 32, loops: 20_000 },
};

/** Whether all that is published comes to many processes, and how much can: as for plain ioredis, with the heartbeat on. */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const plan = quick ? QUICK : FULL;
  const server = await startRedis({ fresh: true });
  const redis = new Redis(server.url);
  try {
    const ours = await fanOut(OURS, redis, server.url, plan.audience);
    const others: FannedOut[] = [];
    for (const subject of plan.fanOut) others.push(await fanOut(subject, redis, server.url, plan.audience));
    const outcome = await measure(redis, server.url, plan.rate);
    return report(quick, ours, others, outcome);
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

function report(quick: boolean, ours: FannedOut, others: readonly FannedOut[], outcome: Outcome<Cost>): BenchResult {
  const { expected, delivered, strays, gaps } = ours;
  const rateToIoredis = highestToIoredis(outcome, OURS_ASKING.name);
  return {
    rows: [...[ours, ...others].map(fanOutRow), ...[...outcome].map(rateRow, outcome)],
    figures: {
      expected,
      delivered,
      redis_cpu_percent: ratio(ours.redisCpuPercent, 1),
      p50_ms: ratio(ours.p50Ms, 1),
      p99_ms: ratio(ours.p99Ms, 1),
      max_rate_vs_ioredis: rateToIoredis,
    },
    failure: failureOf({ expected, delivered, strays, gaps, rateToIoredis, quick }),
  };
}

function fanOutRow({ name, processes, expected, delivered, strays, gaps, redisCpuPercent, p50Ms, p99Ms }: FannedOut) {
  const measured = { redisCpuPercent: ratio(redisCpuPercent, 1), p50Ms: ratio(p50Ms, 1), p99Ms: ratio(p99Ms, 1) };
  return { subscriber: `${name}, ${processes} × 1`, expected, delivered, strays, gaps, ...measured };
}

function rateRow(this: Outcome<Cost>, [name, costs]: readonly [string, readonly Cost[]]) {
  return {
    subscriber: `${name}, 2 × 25`,
    highestPerSecond: Math.round(highest(costs)),
    highestToIoredis: highestToIoredis(this, name),
    medianPerSecond: Math.round(median(costs.map(rate))),
    medianToIoredis: ratio(median(ratiosOf(this, name, rate)), 1),
    cpuUsPerDelivery: ratio(median(costs.map(cpu)), 1),
    cpuToIoredis: ratio(median(ratiosOf(this, name, cpu)), 1),
  };
}

/** What a tenth of the rounds came to: what else the machine does can only lower a rate. */
function highest(costs: readonly Cost[]): number {
  const sorted = costs.map(rate).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.9)] ?? Number.NaN;
}

function highestToIoredis(outcome: Outcome<Cost>, name: string): number {
  return ratio(highest(outcome.get(name) ?? []), highest(outcome.get(IOREDIS.name) ?? []));
}

function rate({ messagesPerSecond }: Cost): number {
  return messagesPerSecond;
}

function cpu({ cpuUsPerDelivery }: Cost): number {
  return cpuUsPerDelivery;
}

/** To plain ioredis, of each round. */
function ratiosOf(outcome: Outcome<Cost>, name: string, of: (cost: Cost) => number): readonly number[] {
  const others = outcome.get(IOREDIS.name) ?? [];
  return (outcome.get(name) ?? []).map((cost, round) => of(cost) / (others[round] ? of(others[round]) : Number.NaN));
}
