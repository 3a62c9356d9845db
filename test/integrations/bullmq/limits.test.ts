import { type Limits, Scope } from 'scoped-pool';
import { scoped, scopeOf, scopeSandbox, scopeWorker } from 'scoped-pool/bullmq';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { warnings } from '../../support/warnings.ts';
import { Bull, Gate, type Job, outcomesOf, settled, VERSIONS, type Worker } from './bull.ts';

const redis = useRedis();
const VARIABLE = 'SCOPED_POOL_LIMITS';

afterEach(() => {
  delete process.env[VARIABLE];
});

describe.each(VERSIONS)('limits of a worker on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const CONCURRENCY = 4;

  async function anyWorker(name?: string): Promise<Worker> {
    const queue = await bull.queue(name);
    return bull.worker(queue, async () => {}, { concurrency: CONCURRENCY });
  }

  /** Nobody has defined those pools. */
  const onError = () => {};
  const limitsOf = (worker: Worker): Limits => scopeOf(worker).limits;

  it('may come from a function of its queue and its concurrency', async () => {
    const worker = await anyWorker();
    scopeWorker(worker, { limits: ({ name, concurrency }) => ({ redis: concurrency * 2, [name]: 1 }), onError });
    expect(limitsOf(worker)).toEqual({ redis: 8, [worker.name]: 1 });
  });

  it('are what the environment says, of one queue before what it says of all', async () => {
    const [first, second, third] = [await anyWorker('emails'), await anyWorker('reports'), await anyWorker('images')];
    process.env[VARIABLE] = 'redis=5, emails:redis=8,*:cache:eu=3,images:cache:eu=2';
    scopeWorker(first, { limits: { redis: 1, other: 4 }, onError });
    scopeWorker(second, { limits: { redis: { max: 1, acquireTimeoutMs: 70 } }, onError });
    scopeWorker(third, { onError });
    expect(limitsOf(first)).toEqual({ redis: 8, other: 4, 'cache:eu': 3 });
    expect(limitsOf(second)).toEqual({ redis: { max: 5, acquireTimeoutMs: 70 }, 'cache:eu': 3 });
    expect(limitsOf(third)).toEqual({ redis: 5, 'cache:eu': 2 });
  });

  it.each(['', '  '])('are those of the code when the environment says «%s»', async (text) => {
    process.env[VARIABLE] = text;
    const worker = scopeWorker(await anyWorker(), { limits: { redis: 2 }, onError });
    expect(limitsOf(worker)).toEqual({ redis: 2 });
  });

  it.each([
    'redis',
    'redis=',
    'redis=0',
    'redis=-1',
    'redis=1.5',
    'redis=many',
    '=3',
    ':redis=3',
    'redis=5,',
    '99999999999999999=99999999999999999999',
  ])('are refused at once when the environment says «%s»', async (text) => {
    process.env[VARIABLE] = text;
    const worker = await anyWorker();
    expect(() => scopeWorker(worker)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining(`environment: ${VARIABLE} must be a list of`),
      }),
    );
    expect(() => scopeOf(worker)).toThrow('has no scope');
    for (const wrap of [scoped, scopeSandbox]) expect(() => wrap(async () => {})).toThrow(VARIABLE);
  });

  it.each([new Map([['redis', 1]]), Promise.resolve({ redis: 1 }), [1], 3])('are refused when they are no plain object: %o', (limits) => {
    const said = 'limits must be an object';
    for (const wrap of [scoped, scopeSandbox]) expect(() => wrap(async () => {}, { limits } as object)).toThrow(said);
    expect(() => new Scope({ parent: null, limits: limits as object as Limits })).toThrow(said);
  });

  describe('that are below its concurrency', () => {
    const isLow = (warning: Error) => (warning as { code?: string }).code === 'SCOPED_POOL_LIMIT_LOW';

    async function run(worker: Worker, queue: { addBulk(jobs: { name: string; data: object }[]): Promise<unknown> }, count = 20) {
      const outcomes = outcomesOf(worker);
      await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: 'job', data: { n } })));
      await settled(outcomes, count);
      expect(outcomes.completed.size).toBe(count);
    }

    it('are told once, with both numbers, when jobs wait for one another', async () => {
      const seen = warnings();
      const pool = bull.pool();
      const queue = await bull.queue();
      const gate = new Gate();
      const hold = (job: Job) =>
        pool.use(async (connection) => {
          await connection.set(`key:${job.id}`, 1);
          await gate.opened;
        });
      const worker = scopeWorker(await bull.worker(queue, hold, { concurrency: CONCURRENCY }), { limits: { redis: 2 } });
      const ran = run(worker, queue, 40);
      await until(() => scopeOf(worker).run(() => pool.stats().pending === 2));
      gate.open();
      await ran;
      await until(() => seen.some(isLow));
      expect(seen.filter(isLow).map(({ message }) => message)).toEqual([
        expect.stringContaining(`worker "${queue.name}" runs 4 jobs at a time, but the pool "redis" has at most 2 for them`),
      ]);
    });

    it.each([
      ['plain commands', 1, (pool: ReturnType<Bull['pool']>) => pool.incr('n')],
      ['enough connections', CONCURRENCY, (pool: ReturnType<Bull['pool']>) => pool.use((connection) => connection.incr('n'))],
    ] as const)('are not told with %s', async (_what, max, work) => {
      const seen = warnings();
      const pool = bull.pool();
      const queue = await bull.queue();
      const worker = scopeWorker(await bull.worker(queue, async () => work(pool), { concurrency: CONCURRENCY }), {
        limits: { redis: max },
      });
      await run(worker, queue);
      await worker.close();
      expect(seen.filter(isLow)).toEqual([]);
    });
  });

  it('do not change when the worker is wrapped again, unless by mistake', async () => {
    const worker = scopeWorker(await anyWorker(), { limits: () => ({ redis: 3 }), onError });
    expect(scopeWorker(worker, { limits: () => ({ redis: 4 }) })).toBe(worker);
    expect(limitsOf(worker)).toEqual({ redis: 3 });
  });

  describe('beside a shared scope', () => {
    const app = () => {
      const scope = new Scope({ parent: null, name: 'app', limits: { redis: 3 } });
      onTestFinished(() => scope.close());
      return scope;
    };

    it('are how many of the shared connections its jobs may hold', async () => {
      const seen = warnings();
      const scope = app();
      const pool = bull.pool();
      const gate = new Gate();
      const held: Record<string, number> = {};
      const workers = [2, 1].map(async (max) => {
        const queue = await bull.queue();
        held[queue.name] = 0;
        const hold = () =>
          pool.use(async () => {
            held[queue.name] = (held[queue.name] ?? 0) + 1;
            await gate.opened;
          });
        const worker = scopeWorker(await bull.worker(queue, hold, { concurrency: CONCURRENCY }), { scope, limits: { redis: max } });
        const outcomes = outcomesOf(worker);
        await queue.addBulk(Array.from({ length: CONCURRENCY }, () => ({ name: 'job', data: {} })));
        await until(() => scopeOf(worker).tree().children.length === CONCURRENCY);
        await until(() => held[queue.name] === max);
        return { worker, outcomes };
      });
      const all = await Promise.all(workers);
      expect(Object.values(held).sort()).toEqual([1, 2]);
      expect(await bull.ours()).toBe(3);
      gate.open();
      for (const { outcomes } of all) await settled(outcomes, CONCURRENCY);
      expect(Object.values(held)).toEqual([CONCURRENCY, CONCURRENCY]);
      expect(await bull.ours()).toBe(3);
      for (const { worker } of all) await worker.close();
      expect(scope.run(() => pool.stats())).toMatchObject({ open: 3, inUse: 0, pending: 0 });
      const told = seen.map(({ message }) => /has at most \d for them/.exec(message)?.[0]).filter(Boolean);
      expect(told.sort()).toEqual(['has at most 1 for them', 'has at most 2 for them']);
    });

    it('are told low of the worker whose jobs wait, not of those beside it', async () => {
      const seen = warnings();
      const scope = app();
      const pool = bull.pool();
      const use = () => pool.use((connection) => connection.incr('n'));
      const [busy, calm] = [await bull.queue('busy'), await bull.queue('calm')];
      const workers = [
        scopeWorker(await bull.worker(calm, () => pool.incr('n'), { concurrency: CONCURRENCY }), { scope }),
        scopeWorker(await bull.worker(busy, use, { concurrency: CONCURRENCY }), { scope }),
      ];
      const outcomes = workers.map(outcomesOf);
      // Nor of anybody, where it is no job that waits.
      await scope.run(() => Promise.all(Array.from({ length: 10 }, use)));
      expect(seen).toEqual([]);
      const gate = new Gate();
      const held = scope.run(() => Promise.all([1, 2, 3].map(() => pool.use(() => gate.opened))));
      await until(() => scope.run(() => pool.stats().inUse === 3));
      for (const queue of [calm, busy]) await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'job', data: {} })));
      await until(() => scope.run(() => pool.stats().pending >= CONCURRENCY));
      gate.open();
      await held;
      for (const outcome of outcomes) await settled(outcome, 5);
      expect(seen.map(({ message }) => message)).toEqual([expect.stringContaining('worker "busy" runs 4 jobs at a time')]);
    });

    it('are named with the worker when a job waits too long for them', async () => {
      const scope = app();
      const pool = bull.pool();
      const queue = await bull.queue();
      const gate = new Gate();
      const held = new Gate();
      const hold = ({ data }: Job) =>
        pool.use(
          () => {
            held.open();
            return gate.opened;
          },
          { acquireTimeoutMs: data.patienceMs },
        );
      const worker = scopeWorker(await bull.worker(queue, hold, { concurrency: 2 }), { scope, limits: { redis: 1 } });
      const outcomes = outcomesOf(worker);
      await queue.add('job', { patienceMs: 20_000 });
      await held.opened;
      await queue.add('job', { patienceMs: 30 });
      await until(() => outcomes.failed.size === 1);
      const [error] = [...outcomes.failed.values()].flat() as { code: string; message: string }[];
      expect(error?.code).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
      expect(error?.message).toContain(`pool "redis" of scope "worker:${queue.name}"`);
      expect(error?.message).toContain('max 1');
      gate.open();
      await settled(outcomes, 2);
    });
  });
});
