import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../dev/random.ts';
import { currentScope, Scope } from '../../src/index.ts';
import type { RedisPool } from '../../src/redis/index.ts';

/** Thrown by what is to fail. */
export class ChoreError extends Error {}

/** What a job does. */
type Chore = (pool: RedisPool, random: Random) => unknown;

const CHORES = {
  nothing: () => {},
  plain: async (pool, random) => {
    for (let left = random.between(1, 3); left > 0; left--) await pool.incr('plain');
  },
  many: (pool) => Promise.all(Array.from({ length: 10 }, () => pool.incr('many'))),
  use: (pool) =>
    pool.use(async (connection) => {
      await connection.watch('used');
      await connection.multi().incr('used').exec();
    }),
  block: (pool) => pool.blpop('never', 0.05),
  fail: (_, random) => {
    throw new ChoreError(`job ${random.between(0, 9)} fails`);
  },
  failBeside: async (pool) => {
    currentScope().spawn(async () => {
      await pool.incr('beside');
      throw new ChoreError('task fails');
    });
    await pool.incr('beside');
  },
  // Long enough for somebody to cancel it.
  linger: (_, random) => sleep(random.between(20, 200), undefined, { signal: currentScope().signal }),
  lingerHolding: (pool, random) =>
    pool.use((connection) => connection.blpop('never', random.between(20, 100) / 1_000), { signal: currentScope().signal }),
  forget: (pool) => {
    pool.incr('forgotten').catch(() => {});
  },
  leak: async (pool) => {
    await pool.acquire();
  },
} satisfies Record<string, Chore>;

/** How often each is of a hundred. */
const SHARES: Readonly<Record<keyof typeof CHORES, number>> = {
  nothing: 20,
  plain: 30,
  many: 8,
  use: 12,
  block: 2,
  fail: 10,
  failBeside: 4,
  linger: 5,
  lingerHolding: 2,
  forget: 6,
  leak: 1,
};

const PICKS = Object.entries(SHARES).flatMap(([chore, share]) => Array.from({ length: share }, () => chore as keyof typeof CHORES));

/** Does what chance names for this job, the same each time it is tried. */
export async function work(pool: RedisPool, seed: number, job: number): Promise<void> {
  const random = new Random(seed * 1e6 + job);
  const chore: Chore = CHORES[random.pick(PICKS)];
  await chore(pool, random);
}

const kept: unknown[] = [];

/** Leaks that this bench has to find; `SOAK_LEAK` names one, to see that it does. */
const LEAKS: Readonly<Record<string, (worker: Scope, job: object) => unknown>> = {
  jobs: (_, job) => kept.push(job),
  // With 8 kB that it has read: enough to be seen in a few seconds.
  data: (_, job) => kept.push(job, new Array(1_000).fill(0)),
  scopes: (worker) => new Scope({ parent: worker, name: 'never closed' }),
  listeners: (worker) => worker.signal.addEventListener('abort', () => {}),
};

/** @throws Error when there is no such leak. */
export function leakOf(name: string | undefined): (worker: Scope, job: object) => unknown {
  if (name === undefined) return () => {};
  const leak = LEAKS[name];
  if (!leak) throw new Error(`SOAK_LEAK must be one of ${Object.keys(LEAKS).join(', ')}; got ${name}`);
  return leak;
}
