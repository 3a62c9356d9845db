import { currentScope, Scope, withRoot } from 'scoped-pool';
import { scoped, scopeOf, scopeSandbox, scopeWorker } from 'scoped-pool/bullmq';
import { expectNoLeaks } from 'scoped-pool/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, type Job, outcomesOf, type Processor, settled, VERSIONS, workerScope } from './bull.ts';

const redis = useRedis();

describe.each(VERSIONS)('scoped on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const jobs = (count: number) => Array.from({ length: count }, () => ({ name: 'job', data: {} }));

  async function start(processor: Processor, options: object = {}) {
    const queue = await bull.queue();
    const worker = await bull.worker(queue, processor, options);
    return { queue, worker, outcomes: outcomesOf(worker) };
  }

  it('gives the worker that calls the function a scope with its first job, and closes it with the worker', async () => {
    const pool = bull.pool();
    const seen = new Set<Scope>();
    const { queue, worker, outcomes } = await start(
      scoped(async () => {
        seen.add(workerScope());
        await pool.incr('n');
      }),
    );
    expect(() => scopeOf(worker)).toThrow('with scoped() it gets one with its first job');
    await queue.addBulk(jobs(5));
    await settled(outcomes, 5);
    expect(outcomes.completed.size).toBe(5);
    expect(seen.size).toBe(1);
    expect(seen.has(scopeOf(worker))).toBe(true);
    expect(scopeOf(worker)).toMatchObject({ name: `worker:${queue.name}`, parent: null });
    expect(await bull.ours()).toBe(1);
    await worker.close();
    expect(scopeOf(worker).state).toBe('closed');
    expect(await bull.ours()).toBe(0);
  });

  it('is what scopeSandbox is to a worker of the same process', async () => {
    const pool = bull.pool();
    const { queue, worker, outcomes } = await start(scopeSandbox(async () => pool.incr('n')));
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(scopeOf(worker)).toMatchObject({ name: `worker:${queue.name}` });
    await worker.close();
    expect(await bull.ours()).toBe(0);
  });

  it('is what scopeSandbox is to a test, which opens nothing that nobody closes', async () => {
    const given = scopeSandbox(async (job: { id: string }) => `${workerScope().name} > ${currentScope().name} ${job.id}`);
    expect(await withRoot(() => given({ id: '8' }), { name: 'test' })).toBe('test > job:8 8');
    const real = { id: '9', data: {}, queueName: 'mails' };
    expect(await withRoot(() => given(real), { name: 'test' })).toBe('test > job:9 9');
    await expectNoLeaks();
  });

  it('gives each worker that calls the same function a scope of its own', async () => {
    const pool = bull.pool();
    const both = scoped(async () => pool.incr('n'), { limits: { redis: 1 } });
    const [first, second] = [await start(both), await start(both)];
    for (const { queue, outcomes } of [first, second]) {
      await queue.add('job', {});
      await settled(outcomes, 1);
    }
    expect(scopeOf(first.worker)).not.toBe(scopeOf(second.worker));
    expect(await bull.ours()).toBe(2);
  });

  it('gives a job a scope for each time that it runs, also at the same time', async () => {
    const both = new Gate();
    const scopes: Scope[] = [];
    const processor = scoped(async () => {
      scopes.push(currentScope());
      if (scopes.length > 1) both.open();
      await both.opened;
    });
    // Its lock expires, and the worker that runs it fetches it again.
    const expiring = { concurrency: 2, lockDuration: 100, skipLockRenewal: true, stalledInterval: 100, maxStalledCount: 9 };
    const { queue, outcomes } = await start(processor, expiring);
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(outcomes.failed.size).toBe(0);
    expect(scopes.map(({ name }) => name)).toEqual(['job:1', 'job:1']);
    expect(scopes[0]).not.toBe(scopes[1]);
  });

  it('keeps the name and the number of parameters, and with them whether there is a signal', async () => {
    const signals: unknown[] = [];
    const one = async (...args: unknown[]) => void signals.push(args[2]);
    const three = async (_job: Job, _token?: string, signal?: AbortSignal) => void signals.push(signal);
    const withLength = (length: number, fn: Processor): Processor => Object.defineProperty(fn, 'length', { value: length });
    expect([scoped(withLength(1, one)).length, scoped(one).name, scoped(withLength(3, three)).length]).toEqual([1, 'one', 3]);
    expect(scoped(withLength(1, one), { abortable: true }).length).toBe(3);
    for (const processor of [scoped(withLength(1, one)), scoped(withLength(3, three)), scoped(withLength(1, one), { abortable: true })]) {
      const { queue, outcomes } = await start(processor);
      await queue.add('job', {});
      await settled(outcomes, 1);
    }
    expect(signals).toEqual([undefined, expect.any(AbortSignal), expect.any(AbortSignal)]);
  });

  it.each([undefined, true])('has the scope of a job cancelled with it, with abortable %s', async (abortable) => {
    const begun = new Gate();
    const processor = async () => {
      begun.open();
      const { signal } = currentScope();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal.reason;
    };
    const { queue, worker, outcomes } = await start(scoped(processor, { abortable }));
    const job = await queue.add('job', {});
    await begun.opened;
    expect(worker.cancelJob(String(job.id), 'why')).toBe(true);
    await settled(outcomes, 1);
    expect(outcomes.failed.get('1')).toMatchObject([{ code: 'ERR_THROWN_VALUE', cause: 'why' }]);
  });

  it('passes on this, arguments and the very error', async () => {
    const boom = new module.UnrecoverableError('boom');
    const { queue, outcomes } = await start(
      scoped(async (job, token) => {
        if (job.name === 'fails') throw boom;
        return [job.data.n, typeof token];
      }),
    );
    await queue.addBulk([
      { name: 'works', data: { n: 7 } },
      { name: 'fails', data: {} },
    ]);
    await settled(outcomes, 2);
    expect(outcomes.completed.get('1')).toEqual([7, 'string']);
    expect(outcomes.failed.get('2')?.[0]).toBe(boom);
  });

  it('does nothing in a worker that is wrapped: a job has one scope', async () => {
    const names: string[] = [];
    const queue = await bull.queue();
    const processor = scoped(async () => {
      const { name, parent } = currentScope();
      names.push(`${parent?.name} > ${name}`);
    });
    const worker = scopeWorker(await bull.worker(queue, processor));
    const outcomes = outcomesOf(worker);
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(names).toEqual([`worker:${queue.name} > job:1`]);
    await worker.close();
    expect(scopeOf(worker).state).toBe('closed');
  });

  it('closes the scope of a worker whose close() began before its first job', async () => {
    const pool = bull.pool();
    let closed: Promise<void> | undefined;
    const queue = await bull.queue();
    const worker = await bull.worker(
      queue,
      scoped(async () => pool.incr('n')),
      { autorun: false },
    );
    const inside = worker as unknown as { moveToActive(...args: unknown[]): Promise<unknown> };
    const { moveToActive } = inside;
    inside.moveToActive = async (...args) => {
      const job = await moveToActive.apply(worker, args);
      if (job) closed ??= worker.close();
      return job;
    };
    const job = await queue.add('job', {});
    void worker.run();
    await until(() => closed !== undefined);
    await closed;
    expect(await job.getState()).toBe('completed');
    await until(() => scopeOf(worker).state === 'closed');
    expect(await bull.ours()).toBe(0);
  });

  it('runs without a worker in a child of the current scope, as in a test, and nowhere else', async () => {
    const pool = bull.pool();
    const processor = scoped(async (job: { id: string }) => {
      await pool.set('direct', job.id);
      return [currentScope().name, workerScope().name];
    });
    expect(await withRoot(() => processor({ id: '7' }), { name: 'test' })).toEqual(['job:7', 'test']);
    await expect(processor({ id: '7' })).rejects.toMatchObject({ code: 'ERR_NO_SCOPE' });
    // As a processor file is called.
    const inChild = { id: '7', queueName: 'mails' };
    await expect(processor(inChild)).rejects.toMatchObject({ code: 'ERR_SANDBOXED_WORKER' });
    await expect(processor(inChild)).rejects.toThrow('scopeSandbox');
    expect(await withRoot(() => processor(inChild), { name: 'test' })).toEqual(['job:7', 'test']);
    const scope = new Scope({ parent: null, name: 'app' });
    onTestFinished(() => scope.close());
    const given = scoped(async (_: { id: string }) => workerScope().name, { scope });
    expect(await given({ id: '8' })).toBe('app');
  });

  it('lets jobs wait whose shared scope has ended before the first of them', async () => {
    const scope = new Scope({ parent: null, name: 'shared' });
    const told: unknown[] = [];
    const { queue, worker } = await start(scoped(async () => {}, { scope, onError: (error) => told.push(error) }));
    await scope.close();
    await queue.addBulk(jobs(20));
    await until(() => worker.isPaused());
    await until(async () => (await queue.getJobCounts()).active === 0);
    expect(await queue.getJobCounts()).toMatchObject({ waiting: 20, failed: 0, completed: 0 });
    expect(told).toMatchObject([{ code: 'ERR_WORKER_STOPPED' }]);
  });

  it('fails jobs with what a function throws that gives limits, and goes on', async () => {
    const boom = new Error('no limits today');
    const limits = () => {
      throw boom;
    };
    const { queue, worker, outcomes } = await start(scoped(async () => {}, { limits }));
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect([outcomes.failed.get('1'), worker.isPaused()]).toEqual([[boom], false]);
  });

  it('is refused at once beside options that contradict its own, not with every job', async () => {
    const given = scoped(async () => {}, { limits: { redis: 2 }, graceMs: 50 });
    const worker = await bull.worker(await bull.queue(), given);
    const refusal = (where: string, said: string) => {
      const message = `${where}: limits must be the same wherever a worker and its processor are wrapped (${said}?), or absent; got an object`;
      return expect.objectContaining({ code: 'ERR_INVALID_OPTION', message });
    };
    const both = '{"redis":3} or {"redis":2}';
    expect(() => scopeWorker(worker, { limits: { redis: 3 }, graceMs: 50 })).toThrow(refusal('scopeWorker(), beside scoped()', both));
    expect(() => scopeWorker(worker)).toThrow(refusal('scopeWorker(), beside scoped()', 'none or {"redis":2}'));
    expect(() => scopeOf(worker)).toThrow('has no scope');
    expect(() => scoped(given, { limits: { redis: 3 } })).toThrow(refusal('scoped()', both));
    expect(scopeOf(scopeWorker(worker, { limits: { redis: 2 }, graceMs: 50, onLeakedLease: 'fail' })).limits).toEqual({ redis: 2 });
  });

  it('refuses at once what is no function, and options that are wrong', async () => {
    const refusal = (said: string) => expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(said) });
    expect(() => scoped('file.js' as never)).toThrow(refusal('scoped(): its function must be a function; got "file.js"'));
    expect(() => scoped(async () => {}, { limits: { redis: 0 } })).toThrow(refusal('scoped(): limits.redis must be an integer from 1'));
    expect(() => scoped(async () => {}, { limit: 1 } as object)).toThrow(refusal('scoped(): limit must be absent: did you mean "limits"?'));
  });
});
