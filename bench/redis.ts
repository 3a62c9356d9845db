import type { EventLoopUtilization } from 'node:perf_hooks';
import { startRedis } from '../dev/redis-server.ts';
import { withRoot } from '../src/index.ts';
import { type BenchOptions, type BenchResult, interleaveRounds, median, type Rounds, ratio } from './bench.ts';
import { DelayProxy } from './delay/proxy.ts';
import { contenders, type RedisContender } from './peers/redis.ts';

/** One way to put the contenders to work. */
interface Case extends Rounds {
  /** How many send commands at a time, each of them one after the other. */
  readonly users: number;
}

type Cases = Readonly<Record<'one' | 'hundred' | 'fiveHundred' | 'hundredFar' | 'fiveHundredFar', Case>>;

/** One user waits for one reply at a time: short rounds, and more of them, say more than few long ones. */
const QUICK: Cases = {
  one: { users: 1, rounds: 31, loops: 300 },
  hundred: { users: 100, rounds: 15, loops: 3_000 },
  fiveHundred: { users: 500, rounds: 15, loops: 1_000 },
  hundredFar: { users: 100, rounds: 15, loops: 300 },
  fiveHundredFar: { users: 500, rounds: 15, loops: 500 },
};

const FULL: Cases = {
  one: { users: 1, rounds: 101, loops: 500 },
  hundred: { users: 100, rounds: 41, loops: 10_000 },
  fiveHundred: { users: 500, rounds: 41, loops: 10_000 },
  hundredFar: { users: 100, rounds: 25, loops: 1_000 },
  fiveHundredFar: { users: 500, rounds: 25, loops: 1_000 },
};

/** What came out of a case: of each contender, by its name. */
type Outcome = ReadonlyMap<string, Measured>;

interface Measured {
  /** Nanoseconds per command, of each round. */
  readonly times: readonly number[];
  /** What part of the time the thread of the proxy was busy: where it is near 1, the proxy is what was measured. */
  readonly proxyLoad: number;
}

/**
 * SET of 64 bytes against a real server: over one connection, over ten that are lent, and over ours in both ways; on the
 * loopback, and over a network of 1 ms each way. The server is one of our own, even where REDIS_URL names another.
 */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const server = await startRedis({ fresh: true });
  const proxy = await DelayProxy.start({ host: server.host, port: server.port, delayMs: 1 });
  const { one, hundred, fiveHundred, hundredFar, fiveHundredFar } = quick ? QUICK : FULL;
  try {
    return await withRoot(async () => {
      const near = await measureAll(await contenders('near', server.url), [one, hundred, fiveHundred]);
      const far = await measureAll(await contenders('far', proxy.url), [hundredFar, fiveHundredFar], proxy);
      return report(near, far);
    });
  } finally {
    await proxy.stop();
    await server.stop();
  }
}

async function measureAll(all: readonly RedisContender[], cases: readonly Case[], proxy?: DelayProxy): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { users, ...rounds } of cases) {
    const loads = all.map(() => new Load(proxy));
    const subjects = all.map(({ loop }, place) => async (loops: number) => {
      loads[place]?.begin();
      await Promise.all(Array.from({ length: users }, () => loop(loops / users)));
      loads[place]?.end();
    });
    const times = await interleaveRounds(subjects, rounds);
    outcomes.push(new Map(all.map(({ name }, place) => [name, { times: times[place] ?? [], proxyLoad: loads[place]?.part ?? 0 }])));
  }
  for (const contender of all) await contender.close();
  return outcomes;
}

/** What a contender asked of the proxy, over all of its rounds. */
class Load {
  readonly #proxy: DelayProxy | undefined;
  #begun: EventLoopUtilization | undefined;
  #active = 0;
  #idle = 0;

  constructor(proxy: DelayProxy | undefined) {
    this.#proxy = proxy;
  }

  begin(): void {
    this.#begun = this.#proxy?.utilization;
  }

  end(): void {
    const now = this.#proxy?.utilization;
    if (!now || !this.#begun) return;
    this.#active += now.active - this.#begun.active;
    this.#idle += now.idle - this.#begun.idle;
  }

  get part(): number {
    return this.#active / (this.#active + this.#idle);
  }
}

function report(near: readonly Outcome[], far: readonly Outcome[]): BenchResult {
  const [one, hundred, fiveHundred] = near as [Outcome, Outcome, Outcome];
  const [hundredFar, fiveHundredFar] = far as [Outcome, Outcome];
  const rows = [...one.keys()].map((name) => ({
    client: name,
    perSecond1: perSecond(one, name),
    perSecond100: perSecond(hundred, name),
    perSecond500: perSecond(fiveHundred, name),
    farPerSecond100: perSecond(hundredFar, name),
    farPerSecond500: perSecond(fiveHundredFar, name),
    proxyPercent: Math.round(100 * Math.max(...far.map((outcome) => outcome.get(name)?.proxyLoad ?? 0))),
  }));
  const ratios = {
    shared_vs_raw: throughput(hundred, 'scoped-pool, shared', 'ioredis'),
    shared_vs_raw_one_user: throughput(one, 'scoped-pool, shared', 'ioredis'),
    shared_vs_node_redis: throughput(hundred, 'scoped-pool, shared', 'node-redis'),
    shared_vs_autopipelining: throughput(hundred, 'scoped-pool, shared', 'ioredis, automatic pipelining'),
    shared_vs_generic_pool: throughput(hundred, 'scoped-pool, shared', 'generic-pool'),
    shared_vs_generic_pool_delay: throughput(hundredFar, 'scoped-pool, shared', 'generic-pool'),
    exclusive_vs_generic_pool: throughput(hundred, 'scoped-pool, exclusive', 'generic-pool'),
  };
  return { rows, figures: { ratios } };
}

function perSecond(outcome: Outcome, name: string): number {
  return Math.round(1e9 / median(outcome.get(name)?.times ?? []));
}

/**
 * How many times as much one does as another: the median of what it was in each round, and not the ratio of the medians.
 * The machine drifts between two speeds, for seconds; who is in the same round sees the same one, while two medians may
 * come from different ones (in four runs of 15 rounds 1.71 to 2.19 for the first ratio, against 1.47 to 2.22).
 */
function throughput(outcome: Outcome, name: string, other: string): number {
  const { times = [] } = outcome.get(name) ?? {};
  const slower = outcome.get(other)?.times ?? [];
  return ratio(median(times.map((ns, round) => (slower[round] ?? Number.NaN) / ns)), 1);
}
