import { startRedis } from '../dev/redis-server.ts';
import { type BenchOptions, type BenchResult, median, ratio } from './bench.ts';
import type { Cost } from './bullmq/child.ts';
import { measure } from './bullmq/crew.ts';
import { BARE, PARTS, STORAGE, type Subject, sending, WRAPPED } from './bullmq/subjects.ts';
import type { Outcome, Turns } from './crew.ts';

interface Plan {
  readonly subjects: readonly Subject[];
  readonly concurrencies: readonly number[];
  /** Of jobs that do nothing. */
  readonly idle: Turns;
  /** How many commands the jobs of a further run send each. */
  readonly commands: readonly number[];
  readonly sending: Turns;
}

const MAIN = [BARE, STORAGE, WRAPPED];

const QUICK: Plan = {
  subjects: MAIN,
  concurrencies: [10, 100],
  idle: { starts: 1, rounds: 3, warmUp: 500, loops: 500 },
  commands: [],
  sending: { starts: 1, rounds: 0, warmUp: 0, loops: 0 },
};

const FULL: Plan = {
  subjects: [...MAIN, ...PARTS],
  concurrencies: [10, 100],
  idle: { starts: 6, rounds: 12, warmUp: 10_000, loops: 20_000 },
  commands: [1, 10],
  sending: { starts: 5, rounds: 10, warmUp: 10_000, loops: 5_000 },
};

/** What jobs were like in a run, and what they took. */
interface Run {
  readonly concurrency: number;
  readonly commands: number;
  readonly outcome: Outcome<Cost>;
}

/** What the wrapper of a worker costs: processor time per job, which a busy machine does not change much, and jobs per second. */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const { subjects, concurrencies, idle, commands, sending: rounds } = quick ? QUICK : FULL;
  const server = await startRedis({ fresh: true });
  const runs: Run[] = [];
  try {
    for (const concurrency of concurrencies) {
      runs.push({ concurrency, commands: 0, outcome: await measure(server.url, { subjects, concurrency, ...idle }) });
    }
    for (const each of commands) {
      const concurrency = concurrencies[0] ?? 1;
      runs.push({ concurrency, commands: each, outcome: await measure(server.url, { subjects: sending(each), concurrency, ...rounds }) });
    }
  } finally {
    await server.stop();
  }
  return report(runs);
}

function report(runs: readonly Run[]): BenchResult {
  const idle = runs.filter(({ commands }) => commands === 0);
  // Of both concurrencies the worse.
  const ratios = {
    cpu_wrapped_vs_als_on: Math.max(...idle.map(({ outcome }) => compare(outcome, WRAPPED, STORAGE, cpu))),
    cpu_wrapped_vs_bare: Math.max(...idle.map(({ outcome }) => compare(outcome, WRAPPED, BARE, cpu))),
    jobs_per_second_vs_bare: Math.min(...idle.map(({ outcome }) => compare(outcome, WRAPPED, BARE, speed))),
  };
  return { rows: runs.flatMap(rowsOf), figures: { ratios } };
}

function rowsOf({ concurrency, commands, outcome }: Run) {
  return [...outcome].map(([name, costs]) => ({
    worker: name,
    concurrency,
    commands,
    cpuUsPerJob: Math.round(median(costs.map(cpu)) * 10) / 10,
    cpuToStorageOn: compare(outcome, { name }, STORAGE, cpu),
    cpuToBare: compare(outcome, { name }, BARE, cpu),
    cpuToBareQuartiles: quartiles(ratiosOf(outcome, { name }, BARE, cpu)),
    jobsPerSecond: Math.round(median(costs.map(speed))),
    speedToBare: compare(outcome, { name }, BARE, speed),
  }));
}

function cpu({ cpuUsPerJob }: Cost): number {
  return cpuUsPerJob;
}

function speed({ jobsPerSecond }: Cost): number {
  return jobsPerSecond;
}

/** How many times as much one takes as another: the median of the rounds. */
function compare(outcome: Outcome<Cost>, one: Pick<Subject, 'name'>, other: Pick<Subject, 'name'>, of: (cost: Cost) => number): number {
  return ratio(median(ratiosOf(outcome, one, other, of)), 1);
}

function ratiosOf(
  outcome: Outcome<Cost>,
  one: Pick<Subject, 'name'>,
  other: Pick<Subject, 'name'>,
  of: (cost: Cost) => number,
): readonly number[] {
  const others = outcome.get(other.name) ?? [];
  return (outcome.get(one.name) ?? []).map((cost, round) => of(cost) / (others[round] ? of(others[round]) : Number.NaN));
}

/** Where the middle half of the rounds lies. */
function quartiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return [sorted[sorted.length >> 2], sorted[(sorted.length * 3) >> 2]].map((value) => ratio(value, 1)).join(' to ');
}
