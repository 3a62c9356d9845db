import { type BenchOptions, type BenchResult, median, ratio } from './bench.ts';
import type { Outcome } from './crew.ts';
import { type Case, type Cost, measure } from './http/crew.ts';
import { bareOf, partsOf, type Subject, scopedOf, storageOf } from './http/subjects.ts';

const FRAMEWORKS = ['express', 'fastify'] as const;
const MAIN = FRAMEWORKS.flatMap((framework) => [bareOf(framework), storageOf(framework), scopedOf(framework)]);

const QUICK: Case = { subjects: MAIN, starts: 1, rounds: 3, warmUp: 1_000, loops: 1_000 };
const FULL: Case = { subjects: [...MAIN, ...FRAMEWORKS.flatMap(partsOf)], starts: 4, rounds: 12, warmUp: 10_000, loops: 20_000 };

/** What a scope per request costs where the handler takes no lease: processor time of the server, and requests per second. */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const plan = quick ? QUICK : FULL;
  const outcome = await measure(plan);
  const of = (compare: (framework: Subject['framework']) => number) =>
    Object.fromEntries(FRAMEWORKS.map((framework) => [framework, compare(framework)]));
  return {
    rows: plan.subjects.map((subject) => rowOf(subject, outcome)),
    figures: {
      node: process.version,
      cpu_vs_bare: of((framework) => compare(outcome, scopedOf(framework), bareOf(framework), cpu)),
      rps_vs_bare: of((framework) => compare(outcome, scopedOf(framework), bareOf(framework), speed)),
    },
  };
}

function rowOf(subject: Subject, outcome: Outcome<Cost>) {
  const costs = outcome.get(subject.name) ?? [];
  const bare = bareOf(subject.framework);
  return {
    server: subject.name,
    cpuUsPerRequest: Math.round(median(costs.map(cpu)) * 10) / 10,
    cpuToBare: compare(outcome, subject, bare, cpu),
    cpuToStorage: compare(outcome, subject, storageOf(subject.framework), cpu),
    requestsPerSecond: Math.round(median(costs.map(speed))),
    speedToBare: compare(outcome, subject, bare, speed),
  };
}

function cpu({ cpuUsPerRequest }: Cost): number {
  return cpuUsPerRequest;
}

function speed({ requestsPerSecond }: Cost): number {
  return requestsPerSecond;
}

/** How many times as much one takes as another: the median of the rounds. */
function compare(outcome: Outcome<Cost>, one: Subject, other: Subject, of: (cost: Cost) => number): number {
  const others = outcome.get(other.name) ?? [];
  const ratios = (outcome.get(one.name) ?? []).map((cost, round) => of(cost) / (others[round] ? of(others[round]) : Number.NaN));
  return ratio(median(ratios), 1);
}
