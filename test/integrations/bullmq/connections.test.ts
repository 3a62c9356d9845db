import { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import { scopeWorker } from 'scoped-pool/bullmq';
import { afterEach, describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { BOTH_VERSIONS, Bull, outcomesOf, type Processor, settled } from './bull.ts';

const redis = useRedis();
const COMMANDS = 100;

describe.each(BOTH_VERSIONS)('connections of %s', (_, module) => {
  const bull = new Bull(module, redis);

  /** Runs jobs, and counts what BullMQ opens by itself, what the jobs open, and what is left of that after close(). */
  async function count(processor: Processor, { workers = 1, jobs = 20, concurrency = 5, wrapped = true } = {}) {
    bull.pool();
    const start = await redis().connectionsReceived();
    const queue = await bull.queue();
    const outcomes = [];
    const all = [];
    for (let n = 0; n < workers; n++) {
      const worker = await bull.worker(queue, processor, { concurrency, autorun: false });
      if (wrapped) scopeWorker(worker, { limits: { redis: 10 } });
      outcomes.push(outcomesOf(worker));
      all.push(worker);
    }
    const own = (await redis().connectionsReceived()) - start;
    await queue.addBulk(Array.from({ length: jobs }, () => ({ name: 'job', data: {} })));
    for (const worker of all) void worker.run();
    await settled(merge(outcomes), jobs);
    expect(outcomes.flatMap(({ failed }) => [...failed.values()])).toEqual([]);
    const opened = (await redis().connectionsReceived()) - start - own;
    for (const worker of all) await worker.close();
    return { own, opened, left: await bull.ours() };
  }

  const times = (fn: () => Promise<unknown>) => Promise.all(Array.from({ length: COMMANDS }, fn));

  it('are three for a queue and a worker, and eleven for a queue and five', async () => {
    expect(await count(async () => {})).toEqual({ own: 3, opened: 0, left: 0 });
    expect(await count(async () => {}, { workers: 5 })).toEqual({ own: 11, opened: 0, left: 0 });
  });

  const open: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const opened of open.splice(0)) await opened.close();
  });

  it.each([
    ['a Queue', 1, () => new module.Queue('own', { connection: bull.connection })],
    ['a QueueEvents', 1, () => new module.QueueEvents('own', { connection: bull.connection })],
    ['a FlowProducer', 1, () => new module.FlowProducer({ connection: bull.connection })],
    ['a Worker', 2, () => new module.Worker('own', async () => {}, { connection: bull.connection })],
    ['a Worker with concurrency 50', 2, () => new module.Worker('own', async () => {}, { connection: bull.connection, concurrency: 50 })],
  ] as const)('are those of %s: %i', async (_what, own, make) => {
    const before = await redis().connectionsReceived();
    const made = make();
    open.push(made);
    await made.waitUntilReady();
    await until(async () => (await redis().connectionsReceived()) === before + own);
  });

  describe('without scoped-pool', () => {
    const clients = () => new Redis(redis().url, { connectionName: 'sp:raw' });

    it.each([
      ['closed', 0],
      ['forgotten', 20],
    ])('are one more per job with a client per job, %s', async (how, left) => {
      const process = async () => {
        const client = clients();
        await client.incr('n');
        if (how === 'closed') client.disconnect();
        else open.push({ close: async () => client.disconnect() });
      };
      expect(await count(process, { wrapped: false })).toEqual({ own: 3, opened: 20, left });
    });

    it('are one with a client per worker', async () => {
      let client: Redis | undefined;
      open.push({ close: async () => client?.disconnect() });
      const process = () => {
        client ??= clients();
        return client.incr('n');
      };
      expect(await count(process, { wrapped: false })).toEqual({ own: 3, opened: 1, left: 1 });
    });

    it.each([
      ['closed', 0],
      ['forgotten', 20],
    ])('are one more per job with a Queue per job, %s', async (how, left) => {
      const before = (await redis().clients()).length;
      const process = async () => {
        const queue = new module.Queue('other', { connection: bull.connection });
        await queue.waitUntilReady();
        if (how === 'closed') await queue.close();
        else open.push(queue);
      };
      expect(await count(process, { wrapped: false })).toMatchObject({ own: 3, opened: 20 });
      // The queue of the test is one of them.
      await until(async () => (await redis().clients()).length === before + 1 + left);
    });
  });

  describe('with a pool in the wrong place', () => {
    it('are as many as its commands per job with a root scope per job', async () => {
      const pool = bull.pool();
      const process = () => withRoot(() => times(() => pool.use((connection) => connection.incr('n'))), { limits: { redis: 10 } });
      expect(await count(process, { wrapped: false, jobs: 5 })).toEqual({ own: 3, opened: 50, left: 0 });
    });

    it('are as many as its commands with a root scope per task', async () => {
      const pool = bull.pool();
      const process = () => times(() => withRoot(() => pool.use((connection) => connection.incr('n'))));
      expect(await count(process, { wrapped: false, jobs: 2 })).toEqual({ own: 3, opened: 200, left: 0 });
    });
  });

  it('are at most as many as jobs run at a time with one exclusive command per job', async () => {
    const pool = bull.pool();
    const { own, opened, left } = await count(async () => pool.use((connection) => connection.incr('n')), { jobs: 100 });
    expect([own, left]).toEqual([3, 0]);
    expect(opened).toBeGreaterThan(0);
    expect(opened).toBeLessThanOrEqual(5);
  });

  it('are exactly the limit with 100 exclusive commands per job', async () => {
    const pool = bull.pool();
    const process = () => times(() => pool.use((connection) => connection.incr('n')));
    expect(await count(process)).toEqual({ own: 3, opened: 10, left: 0 });
  });

  it('are one with 100 shared commands per job', async () => {
    const pool = bull.pool();
    expect(await count(() => times(() => pool.incr('n')))).toEqual({ own: 3, opened: 1, left: 0 });
  });

  it('stop at the limit of each of five workers', async () => {
    const pool = bull.pool();
    // Each worker takes part: no job ends before all five have begun one.
    const begun = new Set<string>();
    const process: Processor = async (_job, token) => {
      begun.add(String(token).split(':')[0] ?? '');
      await times(() => pool.use((connection) => connection.incr('n')));
      while (begun.size < 5) await new Promise((resolve) => setImmediate(resolve));
    };
    expect(await count(process, { workers: 5, jobs: 40 })).toEqual({ own: 11, opened: 50, left: 0 });
  });
});

function merge(all: readonly { completed: Map<string, unknown>; failed: Map<string, unknown[]> }[]) {
  const sized = (pick: 'completed' | 'failed') => ({
    get size() {
      return all.reduce((sum, outcomes) => sum + outcomes[pick].size, 0);
    },
  });
  return { completed: sized('completed'), failed: sized('failed') } as Parameters<typeof settled>[0];
}
