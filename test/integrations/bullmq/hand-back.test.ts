import { Scope } from 'scoped-pool';
import { scoped, scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, outcomesOf, type Processor, settled, VERSIONS, type Worker } from './bull.ts';

const redis = useRedis();
const COUNT = 100;

/** The ways in which a scope ends before the worker that uses it. */
const ENDS: Record<string, (worker: Worker, shared: Scope) => unknown> = {
  'that it shares is closed': (_, shared) => shared.close(),
  'that it shares is cancelled': (_, shared) => shared.cancel(),
  'that it shares fails': (_, shared) => {
    shared.cancel(new Error('boom'));
    return shared.close().catch(() => {});
  },
  'of its own is closed': (worker) => scopeOf(worker).close(),
};

/** What was under way when the scope was cancelled may fail, each job with its error. */
const CONCURRENCY = 3;

describe.each(VERSIONS)('a worker that outlives its scope, on %s', (_, module) => {
  const bull = new Bull(module, redis);

  describe.each(Object.entries(ENDS))('when the scope %s', (_, end) => {
    it.each(['scopeWorker', 'scoped'])('takes no more jobs and lets them wait, with %s', async (how) => {
      const queue = await bull.queue();
      const shared = new Scope({ parent: null, name: 'app' });
      onTestFinished(() => shared.close().catch(() => {}));
      const told: unknown[] = [];
      const options = { scope: shared, onError: (error: unknown) => void told.push(error) };
      const processor: Processor = () => new Promise((resolve) => setTimeout(resolve, 5));
      const worker = await bull.worker(queue, how === 'scoped' ? scoped(processor, options) : processor, { concurrency: CONCURRENCY });
      if (how === 'scopeWorker') scopeWorker(worker, options);
      const outcomes = outcomesOf(worker);
      await queue.addBulk(Array.from({ length: COUNT }, () => ({ name: 'job', data: {} })));
      await settled(outcomes, 5);
      await end(worker, shared);
      await until(() => worker.isPaused());
      await until(async () => (await queue.getActiveCount()) === 0);
      const { waiting = 0, failed = 0, completed = 0 } = await queue.getJobCounts('waiting', 'failed', 'completed');
      expect(waiting + failed + completed).toBe(COUNT);
      expect(failed).toBeLessThanOrEqual(CONCURRENCY);
      expect(waiting).toBeGreaterThan(COUNT / 2);
      expect(told.filter((error) => (error as { code?: string }).code === 'ERR_WORKER_STOPPED')).toHaveLength(1);
      const [next] = await queue.getWaiting();
      expect(next?.attemptsMade).toBe(0);
      await worker.close().catch(() => {});
    });
  });

  it('leaves its jobs to another worker', async () => {
    const queue = await bull.queue();
    const ended = await bull.worker(queue, async () => {});
    scopeWorker(ended, { onError: () => {} });
    await scopeOf(ended).close();
    await queue.addBulk(Array.from({ length: COUNT }, () => ({ name: 'job', data: {} })));
    await until(() => ended.isPaused());
    const outcomes = outcomesOf(await bull.worker(queue, async () => {}));
    await settled(outcomes, COUNT);
    expect([outcomes.completed.size, outcomes.failed.size]).toEqual([COUNT, 0]);
  });
});
