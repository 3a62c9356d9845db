import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { currentScope, type Scope, tryCurrentScope, withRoot } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Lease as HeldLease } from '../../../src/pool/lease.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, type Job, outcomesOf, type Queue, settled, VERSIONS, type Worker, workerScope } from './bull.ts';

const jobs = (count: number, opts = {}) => Array.from({ length: count }, () => ({ name: 'job', data: {}, opts }));

describe.each(VERSIONS)("the worker's scope on %s", (version, module) => {
  const redis = useRedis({ fresh: true, appendOnly: true });
  const bull = new Bull(module, redis);
  let pools = 0;

  const storage = new AsyncLocalStorage<string>();

  /** A worker whose jobs note the root scope they run in, before and after a command, and stores that are not their own. */
  async function start(options: object = {}, onJob: (job: Job) => unknown = () => {}) {
    const pool = bull.pool(`${version}, pool ${++pools}`);
    const seen: Scope[] = [];
    const foreign: unknown[] = [];
    const process = async (job: Job) => {
      const own = `${job.id}, attempt ${job.attemptsMade}`;
      foreign.push(storage.getStore());
      // As tracers do, for all that is left of the job.
      storage.enterWith(own);
      seen.push(workerScope());
      await onJob(job);
      await pool.incr('n');
      seen.push(workerScope());
      if (storage.getStore() !== own) foreign.push(storage.getStore());
    };
    const queue = await bull.queue();
    const worker = scopeWorker(await bull.worker(queue, process, options));
    return { queue, worker, pool, seen, foreign, outcomes: outcomesOf(worker) };
  }

  /** Every job has run in the worker's scope, from beginning to end, and has seen no store of another. */
  function expectOnly({ worker, seen, foreign }: { worker: Worker; seen: readonly Scope[]; foreign: unknown[] }, atLeast: number): void {
    expect(seen.length).toBeGreaterThanOrEqual(atLeast);
    expect(new Set(seen)).toEqual(new Set([scopeOf(worker)]));
    expect(seen.every((scope) => scope === scopeOf(worker))).toBe(true);
    expect(foreign.filter((store) => store !== undefined)).toEqual([]);
  }

  describe.each([1, 5, 50])('with concurrency %i', (concurrency) => {
    it('is kept by jobs that wait already, and those that come after a pause', async () => {
      const started = await start({ concurrency, drainDelay: 1 });
      const { queue, outcomes } = started;
      await queue.addBulk(jobs(200));
      await settled(outcomes, 200);
      // Longer than the worker blocks for the next job, so that it has asked again.
      await sleep(1_100);
      await queue.addBulk(jobs(concurrency));
      await settled(outcomes, 200 + concurrency);
      expectOnly(started, 400 + 2 * concurrency);
    });

    it('is kept over retries, delays, a rate limit and one that a job asks for', async () => {
      let limited = false;
      const started = await start({ limiter: { max: 4, duration: 50 }, concurrency }, async (job) => {
        if (job.attemptsMade === 0 && job.name === 'twice') throw new Error('first attempt');
        if (job.name !== 'limit' || limited) return;
        limited = true;
        await started.worker.rateLimit(50);
        throw new module.RateLimitError();
      });
      const { queue, outcomes } = started;
      await queue.addBulk([...jobs(5), ...jobs(5, { delay: 30 })]);
      await queue.add('limit', {});
      await queue.add('twice', {}, { attempts: 2, backoff: 10 });
      await until(() => outcomes.completed.size === 12);
      expectOnly(started, 26);
    });

    it.each([
      ['another scope', (fn: () => Promise<void>) => withRoot(fn, { name: 'other' })],
      ['no scope', (fn: () => Promise<void>) => fn()],
    ] as const)('is kept when %s pauses and resumes the worker', async (_who, within) => {
      const started = await start({ concurrency });
      const { queue, worker, outcomes } = started;
      await queue.addBulk(jobs(3));
      await settled(outcomes, 3);
      await within(async () => {
        await worker.pause();
        await worker.resume();
      });
      await queue.addBulk(jobs(3));
      await settled(outcomes, 6);
      expectOnly(started, 12);
    });

    it('is kept over a restart of Redis', async () => {
      const started = await start({ concurrency });
      const { queue, outcomes } = started;
      await queue.addBulk(jobs(20));
      await settled(outcomes, 20);
      await redis().server.restart();
      await until(async () => (await queue.addBulk(jobs(20))).length === 20, { timeoutMs: 20_000 });
      await until(() => outcomes.completed.size >= 40, { timeoutMs: 25_000 });
      expectOnly(started, 80);
      expect(outcomes.failed.size).toBe(0);
    });
  });

  it('is all that its jobs know of whoever resumes it, leases included', async () => {
    const outer: unknown[] = [];
    const { queue, worker, pool, outcomes } = await start({}, async () => {
      const lease = await pool.acquire();
      outer.push((lease as HeldLease<unknown>).outer);
      lease.release();
    });
    await worker.pause();
    await scopeOf(worker).run(() =>
      pool.use(async () => {
        void worker.resume();
        await queue.add('job', {});
        await settled(outcomes, 1);
      }),
    );
    // A job that was taken for a part of this use() might be refused as a deadlock, instead of waiting for its turn.
    expect([outer, outcomes.failed.size]).toEqual([[undefined], 0]);
  });

  it("is where listeners run, never a job's scope, whenever they were added", async () => {
    const queue: Queue = await bull.queue();
    const seen: [string, Scope | undefined][] = [];
    const note = (event: string) => () => seen.push([event, tryCurrentScope()]);
    const bare = await bull.worker(queue, async (job: Job) => {
      expect(currentScope().name).toBe(`job:${job.id}`);
      await job.updateProgress(50);
      expect(currentScope().name).toBe(`job:${job.id}`);
      if (job.name === 'bad') throw new Error('bad');
    });
    bare.on('progress', note('progress before'));
    bare.on('completed', note('completed before'));
    const worker = scopeWorker(bare);
    for (const event of ['active', 'progress', 'completed', 'failed', 'drained', 'paused', 'resumed', 'closing', 'closed'] as const) {
      worker.on(event, note(event));
    }
    worker.once('completed', note('completed once'));
    const outcomes = outcomesOf(worker);
    await queue.addBulk([{ name: 'bad', data: {} }, ...jobs(3)]);
    await settled(outcomes, 4);
    await until(() => seen.some(([event]) => event === 'drained'));
    await withRoot(async () => {
      await worker.pause();
      await worker.resume();
      await worker.close();
    });
    expect(new Set(seen.map(([event]) => event)).size).toBe(12);
    expect(seen.filter(([, scope]) => scope !== scopeOf(worker))).toEqual([]);
  });

  it('supervises its tasks: onError is told of one that fails, and jobs go on', async () => {
    const boom = new Error('task of the worker');
    const told: unknown[] = [];
    const queue = await bull.queue();
    const spawn = async () => {
      scopeOf(worker).spawn(
        async () => {
          throw boom;
        },
        { name: 'refresh' },
      );
    };
    const worker = scopeWorker(await bull.worker(queue, spawn), { onError: (error, where) => told.push([error, where]) });
    const outcomes = outcomesOf(worker);
    await queue.addBulk(jobs(2));
    await settled(outcomes, 2);
    expect(outcomes.failed.size).toBe(0);
    expect(told).toEqual([
      [boom, 'refresh'],
      [boom, 'refresh'],
    ]);
    await worker.close();
  });

  it("lets a job's AsyncLocalStorage store go, though the connection that the job opened lives on", async () => {
    const storage = new AsyncLocalStorage<object>();
    const stores: WeakRef<object>[] = [];
    const clients: Redis[] = [];
    onTestFinished(() => {
      for (const client of clients) client.disconnect();
    });
    const { queue, worker, pool, outcomes } = await start({}, (job) => {
      const store = { job: job.id };
      stores.push(new WeakRef(store));
      return storage.run(store, async () => {
        if (job.name !== 'raw') return pool.incr('n');
        // Connected in the job by hand, which shows that a store can be kept at all.
        const client = new Redis(redis().url);
        clients.push(client);
        return client.incr('n');
      });
    });
    await queue.add('job', {});
    await queue.add('raw', {});
    await settled(outcomes, 2);
    // BullMQ's loop holds the last job for as long as it has no other.
    await queue.add('job', {});
    await settled(outcomes, 3);
    const isCollected = (ref: WeakRef<object> | undefined) => {
      global.gc?.();
      return ref?.deref() === undefined;
    };
    await until(() => isCollected(stores[0]));
    expect(isCollected(stores[1])).toBe(false);
    expect(scopeOf(worker).run(() => pool.stats())).toMatchObject({ idle: 1 });
  });
});
