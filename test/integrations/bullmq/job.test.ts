import { currentScope, type Task } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { warnings } from '../../support/warnings.ts';
import { Bull, Gate, type Job, outcomesOf, type Processor, settled, VERSIONS } from './bull.ts';

type Told = [unknown, string][];

const redis = useRedis();

describe.each(VERSIONS)('a job on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const { DelayedError, UnrecoverableError, WaitingChildrenError, RateLimitError } = module;

  /** A wrapped worker, its queue, what became of its jobs, and what `onError` was told. */
  async function start(processor: Processor, options: { limit?: number; concurrency?: number; abortable?: boolean | undefined } = {}) {
    const queue = await bull.queue();
    const told: Told = [];
    const worker = scopeWorker(await bull.worker(queue, processor, { concurrency: options.concurrency ?? 1 }), {
      limits: { redis: options.limit ?? 10 },
      abortable: options.abortable,
      onError: (error, where) => void told.push([error, where]),
    });
    return { queue, worker, outcomes: outcomesOf(worker), told };
  }

  describe('outcome', () => {
    it('is what the processor returned', async () => {
      const { queue, outcomes } = await start(async (job) => job.data.n * 2);
      await queue.add('job', { n: 21 });
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toBe(42);
    });

    it('is the very error that the processor threw', async () => {
      const boom = new TypeError('boom');
      const { queue, outcomes, told } = await start(async () => {
        throw boom;
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')?.[0]).toBe(boom);
      expect(told).toEqual([]);
    });

    it.each([
      ['undefined', undefined],
      ['null', null],
      ['"boom"', 'boom'],
      ['7', 7],
    ])('is an error that names %s, where the processor threw that', async (shown, thrown) => {
      const { queue, outcomes, told } = await start(async () => {
        throw thrown;
      });
      const job = await queue.add('job', {}, { attempts: 2 });
      await until(() => outcomes.failed.get('1')?.length === 2);
      expect(outcomes.failed.get('1')).toMatchObject([{ code: 'ERR_THROWN_VALUE' }, { code: 'ERR_THROWN_VALUE' }]);
      expect((outcomes.failed.get('1') as Error[])[0]?.cause).toBe(thrown);
      expect(await job.getState()).toBe('failed');
      expect((await queue.getJob('1'))?.failedReason).toContain(`job:1 threw ${shown}, which is no Error`);
      expect(told).toEqual([]);
    });

    it('is an error, where a task of the job threw something else', async () => {
      const { queue, outcomes } = await start(async () => {
        currentScope().spawn(async () => {
          throw undefined;
        });
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toMatchObject([{ code: 'ERR_THROWN_VALUE' }]);
    });

    it('is the very error of a task that failed, though the processor returned', async () => {
      const boom = new RangeError('in the task');
      const { queue, outcomes, told } = await start(async () => {
        currentScope().spawn(async () => {
          throw boom;
        });
        return 'done';
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')?.[0]).toBe(boom);
      expect(told).toEqual([]);
    });

    it('waits for the tasks of the job', async () => {
      const gate = new Gate();
      const { queue, outcomes } = await start(async (job) => {
        currentScope().spawn(() => gate.opened);
        await job.updateProgress(1);
      });
      const job = await queue.add('job', {});
      await until(async () => (await queue.getJob(String(job.id)))?.progress === 1);
      expect(await job.getState()).toBe('active');
      gate.open();
      await settled(outcomes, 1);
    });

    it('tells onError of the failures after the first', async () => {
      const [first, second] = [new Error('first'), new Error('second')];
      const { queue, outcomes, told } = await start(async () => {
        const late = new Gate();
        currentScope().spawn(
          async () => {
            await late.opened;
            throw second;
          },
          { name: 'late' },
        );
        queueMicrotask(late.open);
        throw first;
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toEqual([first]);
      expect(told).toEqual([[second, 'job:1/late']]);
    });
  });

  describe('that steers BullMQ by what it throws', () => {
    it('is put off by DelayedError', async () => {
      const { queue, outcomes, told } = await start(async (job, token) => {
        if (job.attemptsStarted > 1) return 'later';
        await job.moveToDelayed(Date.now() + 20, token);
        throw new DelayedError();
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect([outcomes.completed.get('1'), outcomes.failed.size, told]).toEqual(['later', 0, []]);
    });

    it('is put off by DelayedError also when one of its tasks fails, of which onError is told', async () => {
      const boom = new Error('in the task');
      const { queue, worker, outcomes, told } = await start(async (job, token) => {
        if (job.attemptsStarted > 1) return 'later';
        const task: Task<void> = currentScope().spawn(async () => {
          throw boom;
        });
        await task.catch(() => {});
        await job.moveToDelayed(Date.now() + 20, token);
        throw new DelayedError();
      });
      const errors: unknown[] = [];
      worker.on('error', (error) => errors.push(error));
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect([outcomes.completed.get('1'), outcomes.failed.size, errors]).toEqual(['later', 0, []]);
      expect(told).toEqual([[boom, 'job:1']]);
    });

    it('is not tried again after UnrecoverableError', async () => {
      const { queue, outcomes } = await start(async () => {
        throw new UnrecoverableError('never');
      });
      const job = await queue.add('job', {}, { attempts: 3 });
      await settled(outcomes, 1);
      expect(await job.getState()).toBe('failed');
      expect(outcomes.failed.get('1')).toHaveLength(1);
    });

    it('waits for its children after WaitingChildrenError', async () => {
      const { queue, outcomes } = await start(async (job, token) => {
        if (job.name === 'child') return 'grown';
        if (job.data.asked) return Object.values(await job.getChildrenValues());
        await job.updateData({ asked: true });
        await queue.add('child', {}, { parent: { id: String(job.id), queue: job.queueQualifiedName } });
        if (await job.moveToWaitingChildren(String(token))) throw new WaitingChildrenError();
        return 'no children';
      });
      await queue.add('parent', {});
      await settled(outcomes, 2);
      expect(outcomes.completed.get('1')).toEqual(['grown']);
      expect(outcomes.failed.size).toBe(0);
    });

    it('goes back to wait after RateLimitError, and loses no attempt', async () => {
      const { queue, worker, outcomes } = await start(async (job) => {
        if (job.attemptsStarted > 1) return job.attemptsMade;
        await worker.rateLimit(20);
        throw new RateLimitError();
      });
      await queue.add('job', {}, { attempts: 1 });
      await settled(outcomes, 1);
      expect([outcomes.completed.size, outcomes.failed.size]).toEqual([1, 0]);
    });
  });

  describe('that is cancelled', () => {
    it.each([
      [undefined, 0, false],
      [true, 0, true],
      [false, 0, false],
      [undefined, 3, true],
      [false, 3, true],
    ])('with abortable %s and %i parameters has a signal as third argument: %s; its scope is cancelled', async (abortable, length, has) => {
      const queue = await bull.queue();
      const process = async (...args: unknown[]) => {
        const job = args[0] as Job;
        expect(worker.cancelJob(String(job.id), 'why')).toBe(true);
        const { aborted, reason } = currentScope().signal;
        return [args[2] instanceof AbortSignal && args[2].aborted, aborted, reason];
      };
      Object.defineProperty(process, 'length', { value: length });
      const worker = scopeWorker(await bull.worker(queue, process), { abortable });
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toEqual([has, true, 'why']);
    });

    it('rejects an acquire that waits with an error whose cause is the reason, and leaves others alone', async () => {
      const pool = bull.pool();
      const [held, gate] = [new Gate(), new Gate()];
      const { queue, worker, outcomes } = await start(
        async (job) => {
          if (job.name === 'waiter') return pool.use(() => 'got it');
          return pool.use(async () => {
            held.open();
            await gate.opened;
          });
        },
        { limit: 1, concurrency: 2 },
      );
      await queue.add('holder', {});
      await held.opened;
      const job = await queue.add('waiter', {});
      await until(() => scopeOf(worker).run(() => pool.stats().pending === 1));
      expect(worker.cancelJob(String(job.id), 'why')).toBe(true);
      await until(() => outcomes.failed.has('2'));
      const [error] = outcomes.failed.get('2') ?? [];
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ code: 'ERR_SCOPE_CANCELLED', cause: 'why' });
      expect((await queue.getJob('2'))?.failedReason).toMatch(/was cancelled.*reason: "why"/);
      gate.open();
      await until(() => outcomes.completed.has('1'));
    });

    it('fails when a task takes no notice of it and is left behind, though the processor returned', async () => {
      const never = new Promise<never>(() => {});
      const { queue, worker, outcomes } = await start(async (job) => {
        currentScope().spawn(() => never, { name: 'deaf' });
        worker.cancelJob(String(job.id), 'why');
        return 'done';
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toMatchObject([{ code: 'ERR_SCOPE_TIMEOUT', pending: ['deaf'] }]);
    });

    it('fails with an error that has the reason in its message, where it throws that', async () => {
      const { queue, worker, outcomes } = await start(async (job) => {
        worker.cancelJob(String(job.id), 'because');
        currentScope().signal.throwIfAborted();
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toMatchObject([{ code: 'ERR_THROWN_VALUE', cause: 'because' }]);
      expect((await queue.getJob('1'))?.failedReason).toContain('job:1 was cancelled: "because"');
    });

    it('still cannot be tried again when the processor throws UnrecoverableError', async () => {
      const { queue, worker, outcomes, told } = await start(async (job, _token, signal) => {
        worker.cancelJob(String(job.id), 'why');
        throw new UnrecoverableError(`stopped: ${signal?.reason}`);
      });
      const job = await queue.add('job', {}, { attempts: 3 });
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toMatchObject([{ name: 'UnrecoverableError', message: 'stopped: why' }]);
      expect(await job.getState()).toBe('failed');
      expect(told).toEqual([]);
    });

    it('stops with all others at worker.cancelAllJobs(), and not when another one is cancelled', async () => {
      const { queue, worker, outcomes } = await start(async (job) => {
        const isFound = worker.cancelJob(`not-${job.id}`, 'why');
        const { signal } = currentScope();
        const before = signal.aborted;
        worker.cancelAllJobs('all');
        return [isFound, before, signal.reason];
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toEqual([false, false, 'all']);
    });

    it('completes when the processor takes no notice of its signal', async () => {
      const { queue, worker, outcomes, told } = await start(async (job) => {
        worker.cancelJob(String(job.id), 'why');
        return currentScope().signal.aborted;
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toBe(true);
      expect(told).toEqual([]);
    });

    it('cancels its tasks, whose end is no failure', async () => {
      const { queue, worker, outcomes, told } = await start(async (job) => {
        const task = currentScope().spawn(
          ({ signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        );
        worker.cancelJob(String(job.id), 'why');
        return task.catch((reason: unknown) => reason);
      });
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toBe('why');
      expect(told).toEqual([]);
    });
  });

  describe('that leaks', () => {
    it('neither hangs the next job nor close(), and onError is told', async () => {
      const pool = bull.pool();
      const { queue, worker, outcomes, told } = await start(async () => (await pool.acquire()).resource.incr('n'), { limit: 1 });
      await queue.addBulk(Array.from({ length: 3 }, () => ({ name: 'job', data: {} })));
      await settled(outcomes, 3);
      expect(outcomes.failed.size).toBe(0);
      expect(told.map(([error, where]) => [(error as { code?: string }).code, where])).toEqual(
        [1, 2, 3].map((id) => ['ERR_LEASE_LEAKED', `job:${id}/leases`]),
      );
      await worker.close();
      expect(await bull.ours()).toBe(0);
    });

    it.each([
      ['report', 0, ['ERR_LEASE_LEAKED']],
      ['fail', 1, []],
      ['ignore', 0, []],
    ] as const)('does with onLeakedLease "%s" what that says, and revokes the lease', async (onLeakedLease, failed, codes) => {
      const pool = bull.pool();
      const told: unknown[] = [];
      const queue = await bull.queue();
      const onError = (error: unknown) => void told.push((error as { code?: string }).code);
      const leak = async () => void (await pool.acquire());
      const worker = scopeWorker(await bull.worker(queue, leak), { onLeakedLease, onError, limits: { redis: 1 } });
      const outcomes = outcomesOf(worker);
      await queue.addBulk([1, 2].map((n) => ({ name: 'job', data: { n } })));
      await settled(outcomes, 2);
      expect([outcomes.failed.size, told]).toEqual([failed * 2, [...codes, ...codes]]);
      const reasons = [...outcomes.failed.values()].flat().map((error) => (error as { code?: string }).code);
      expect(new Set(reasons)).toEqual(new Set(failed ? ['ERR_LEASE_LEAKED'] : []));
      expect(scopeOf(worker).run(() => pool.stats().inUse)).toBe(0);
    });

    it('fails with what it threw, not with its leak, where it did both, and onError is told of the leak', async () => {
      const pool = bull.pool();
      const boom = new Error('boom');
      const told: unknown[] = [];
      const onError = (error: unknown, where: string) => void told.push([(error as { code?: string }).code, where]);
      const queue = await bull.queue();
      const leak = async () => {
        await pool.acquire();
        throw boom;
      };
      const worker = scopeWorker(await bull.worker(queue, leak), { onLeakedLease: 'fail', onError });
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.failed.get('1')).toEqual([boom]);
      expect(told).toEqual([['ERR_LEASE_LEAKED', 'job:1/leases']]);
    });

    it('fails with onLeakedLease "fail" also for an acquire that nobody awaited: its work was not done', async () => {
      const pool = bull.pool();
      const queue = await bull.queue();
      const held = new Gate();
      const forget = async (job: Job) => {
        if (job.name === 'holder') return pool.use(() => held.opened);
        void pool.use((connection) => connection.incr('never'));
      };
      const worker = scopeWorker(await bull.worker(queue, forget, { concurrency: 2 }), { onLeakedLease: 'fail', limits: { redis: 1 } });
      const outcomes = outcomesOf(worker);
      await queue.add('holder', {});
      await until(() => scopeOf(worker).run(() => pool.stats().inUse === 1));
      await queue.add('forgetful', {});
      await until(() => outcomes.failed.size === 1);
      expect(outcomes.failed.get('2')).toMatchObject([{ code: 'ERR_SCOPE_CLOSED' }]);
      held.open();
      await settled(outcomes, 2);
    });

    it('makes a process warning when nobody else is told', async () => {
      const seen = warnings();
      const pool = bull.pool();
      const queue = await bull.queue();
      const worker = scopeWorker(await bull.worker(queue, async () => void (await pool.acquire())));
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      await until(() => seen.some((warning) => (warning as { code?: string }).code === 'ERR_LEASE_LEAKED'));
    });

    it.each([
      [
        'throws',
        () => {
          throw new Error('broken onError');
        },
      ],
      [
        'rejects',
        async () => {
          throw new Error('broken onError');
        },
      ],
    ] as const)('does no harm with an onError that %s: the process is warned of both', async (_how, onError) => {
      const seen = warnings();
      const pool = bull.pool();
      const queue = await bull.queue();
      const worker = scopeWorker(await bull.worker(queue, async () => void (await pool.acquire())), { onError });
      const outcomes = outcomesOf(worker);
      await queue.addBulk([1, 2].map((n) => ({ name: 'job', data: { n } })));
      await settled(outcomes, 2);
      expect(outcomes.completed.size).toBe(2);
      await worker.close();
      await until(() => seen.some(({ message }) => message === 'broken onError'));
      await until(() => seen.some((warning) => (warning as { code?: string }).code === 'ERR_LEASE_LEAKED'));
    });

    it('is told by the worker that it ran for, where workers share a scope', async () => {
      const { Scope } = await import('scoped-pool');
      const scope = new Scope({ parent: null, name: 'app' });
      onTestFinished(() => scope.close());
      const pool = bull.pool();
      const told: unknown[] = [];
      const queue = await bull.queue();
      const onError = (error: unknown, where: string) => void told.push([(error as { code?: string }).code, where]);
      const worker = scopeWorker(await bull.worker(queue, async () => void (await pool.acquire())), { scope, onError });
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(told).toEqual([['ERR_LEASE_LEAKED', 'job:1/leases']]);
    });
  });

  it('neither deadlocks nor waits in silence with a plain command inside use(), five at a time on three connections', async () => {
    const pool = bull.pool();
    const { queue, outcomes } = await start(
      async (job: Job) => {
        await pool.use(async (connection) => {
          await connection.set(`key:${job.id}`, 1);
          await pool.incr('n');
        });
      },
      { limit: 3, concurrency: 5 },
    );
    await queue.addBulk(Array.from({ length: 20 }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, 20);
    const codes = new Set([...outcomes.failed.values()].flat().map((error) => (error as { code?: string }).code));
    expect([...codes].filter((code) => code !== 'ERR_POOL_DEADLOCK')).toEqual([]);
    expect(outcomes.completed.size).toBeGreaterThan(0);
  });

  it('loses no command that it does not await: 1,000 jobs, one connection, no leak', async () => {
    const pool = bull.pool();
    const { queue, worker, outcomes, told } = await start(async () => void pool.incr('unawaited'), { concurrency: 5 });
    await redis().observer.del('unawaited');
    const before = await redis().connectionsReceived();
    await queue.addBulk(Array.from({ length: 1_000 }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, 1_000);
    expect(await redis().observer.get('unawaited')).toBe('1000');
    expect(await redis().connectionsReceived()).toBe(before + 1);
    expect([outcomes.failed.size, told]).toEqual([0, []]);
    await worker.close();
    expect(await bull.ours()).toBe(0);
  });

  it('is where a query begins that the processor hands over without a promise', async () => {
    const pool = bull.pool();
    const queue = await bull.queue();
    // biome-ignore lint/suspicious/noThenProperty: as the queries of query builders have
    const lazy = { then: (resolve: () => void, reject: () => void) => pool.incr(currentScope().root.name).then(resolve, reject) };
    const worker = scopeWorker(await bull.worker(queue, (() => lazy) as never));
    const outcomes = outcomesOf(worker);
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect([outcomes.failed.size, await redis().observer.get(`worker:${queue.name}`)]).toEqual([0, '1']);
  });

  it('leaves nothing behind where somebody counts what is made and destroyed', async () => {
    const { createHook } = await import('node:async_hooks');
    let made = 0;
    const alive = new Set<number>();
    const init = (id: number, type: string) => {
      if (type !== 'scoped-pool.own') return;
      made++;
      alive.add(id);
    };
    const hook = createHook({ init, destroy: (id) => void alive.delete(id) }).enable();
    onTestFinished(() => void hook.disable());
    const queue = await bull.queue();
    const outcomes = outcomesOf(scopeWorker(await bull.worker(queue, async () => {}, { concurrency: 5 })));
    await queue.addBulk(Array.from({ length: 200 }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, 200);
    expect(made).toBeGreaterThanOrEqual(200);
    await until(() => {
      globalThis.gc?.();
      return alive.size <= 5;
    });
  });

  it.each([
    [undefined, false],
    [true, false],
    [false, true],
  ])('with detach %s: what it sets with enterWith() before its first await reaches the next: %s', async (detach, reaches) => {
    const { AsyncLocalStorage } = await import('node:async_hooks');
    const storage = new AsyncLocalStorage<string>();
    const queue = await bull.queue();
    const process = async (job: Job) => {
      const found = storage.getStore();
      storage.enterWith(`job ${job.id}`);
      return found !== undefined;
    };
    const worker = scopeWorker(await bull.worker(queue, process, { concurrency: 2 }), { detach });
    const outcomes = outcomesOf(worker);
    await queue.addBulk(Array.from({ length: 10 }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, 10);
    expect([...outcomes.completed.values()].includes(true)).toBe(reaches);
  });
});
