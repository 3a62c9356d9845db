import { currentScope } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, outcomesOf, type Processor, settled, VERSIONS, type Worker } from './bull.ts';

const redis = useRedis();
const never = new Promise<never>(() => {});

/** The methods that BullMQ calls on its worker. */
type Inside = { moveToActive(...args: unknown[]): Promise<unknown>; close(...args: unknown[]): Promise<void> };

describe.each(VERSIONS)('close() of a wrapped worker on %s', (_, module) => {
  const bull = new Bull(module, redis);

  async function start(processor: Processor, options: { graceMs?: number; prepare?: (worker: Worker) => void } = {}) {
    const queue = await bull.queue();
    const bare = await bull.worker(queue, processor);
    options.prepare?.(bare);
    const told: [unknown, string][] = [];
    const worker = scopeWorker(bare, { graceMs: options.graceMs, onError: (error, where) => void told.push([error, where]) });
    return { queue, worker, outcomes: outcomesOf(worker), told };
  }

  it('means that its pools are closed, too', async () => {
    const pool = bull.pool();
    const { queue, worker, outcomes } = await start(async () => pool.incr('n'));
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(await bull.ours()).toBe(1);
    await worker.close();
    expect(scopeOf(worker).state).toBe('closed');
    expect(await bull.ours()).toBe(0);
  });

  it('gives the running job its connections until it has ended', async () => {
    const pool = bull.pool();
    const [begun, closing] = [new Gate(), new Gate()];
    const { queue, worker, outcomes } = await start(async () => {
      begun.open();
      await closing.opened;
      await pool.incr('n');
      return scopeOf(worker).state;
    });
    await queue.add('job', {});
    await begun.opened;
    const closed = worker.close();
    closing.open();
    await closed;
    expect([...outcomes.completed.values()]).toEqual(['open']);
    expect(await bull.ours()).toBe(0);
  });

  it('says so at once when a job of the worker awaits it, and closes when the job has ended', async () => {
    const codes: unknown[] = [];
    const { queue, worker, outcomes } = await start(async () => {
      await worker.close().catch((error: unknown) => codes.push((error as { code?: unknown }).code));
      return 'done';
    });
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(codes).toEqual(['ERR_SCOPE_DEADLOCK']);
    await worker.close();
    expect([...outcomes.completed.values()]).toEqual(['done']);
    expect(scopeOf(worker).state).toBe('closed');
  });

  it('lets a job run normally that is handed over after it began', async () => {
    const pool = bull.pool();
    let closed: Promise<void> | undefined;
    const { queue, worker, outcomes, told } = await start(async () => pool.incr('n'), {
      prepare(bare) {
        const inside = bare as unknown as Inside;
        const { moveToActive } = inside;
        inside.moveToActive = async (...args) => {
          const job = await moveToActive.apply(bare, args);
          if (job) closed ??= worker.close();
          return job;
        };
      },
    });
    const job = await queue.add('job', {});
    await until(() => closed !== undefined);
    await closed;
    expect([outcomes.completed.size, outcomes.failed.size, told]).toEqual([1, 0, []]);
    expect(await job.getState()).toBe('completed');
    expect(await bull.ours()).toBe(0);
  });

  it('serves listeners of closing and closed', async () => {
    const pool = bull.pool();
    const { worker, told } = await start(async () => {});
    const replies: Promise<unknown>[] = [];
    worker.on('closing', () => replies.push(pool.set('said', 'closing')));
    worker.on('closed', () => replies.push(pool.get('said')));
    await worker.close();
    expect(await Promise.all(replies)).toEqual(['OK', 'closing']);
    expect(told).toEqual([]);
    expect(await bull.ours()).toBe(0);
  });

  it('waits for the tasks of the worker', async () => {
    const gate = new Gate();
    const { worker } = await start(async () => {});
    scopeOf(worker).spawn(() => gate.opened);
    const closed = worker.close();
    await until(() => scopeOf(worker).state === 'draining');
    gate.open();
    await closed;
    expect(scopeOf(worker).state).toBe('closed');
  });

  it('cancels tasks of the worker that do not end within graceMs', { timeout: 5_000 }, async () => {
    const { worker, told } = await start(async () => {}, { graceMs: 1 });
    const task = scopeOf(worker).spawn(
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('asked to'))),
    );
    await worker.close();
    expect([await task, told]).toEqual(['asked to', []]);
  });

  it('may be called again, by whomever', async () => {
    const { queue, worker, outcomes } = await start(async () => void worker.close());
    const job = await queue.add('job', {});
    await until(() => scopeOf(worker).state === 'closed');
    await Promise.all([worker.close(), worker.close()]);
    expect([outcomes.completed.size, await job.getState()]).toEqual([1, 'completed']);
  });

  it('passes on all arguments and this', async () => {
    const calls: unknown[][] = [];
    const { worker } = await start(async () => {}, {
      prepare(bare) {
        (bare as unknown as Inside).close = async function close(this: unknown, ...args) {
          calls.push([this, ...args]);
          return module.Worker.prototype.close.apply(bare);
        };
      },
    });
    await (worker as unknown as Inside).close(false, 'more');
    expect(calls).toEqual([[worker, false, 'more']]);
  });

  it('closes the scope also when the worker could not be closed, and throws what BullMQ threw', async () => {
    const [boom, stop] = [new Error('BullMQ'), new Error('stop')];
    const { worker, told } = await start(async () => {}, {
      prepare(bare) {
        (bare as unknown as Inside).close = async () => {
          if (bare.isRunning()) await module.Worker.prototype.close.apply(bare).then(() => Promise.reject(boom));
        };
      },
    });
    scopeOf(worker).onClose(() => {
      throw stop;
    });
    await expect(worker.close()).rejects.toBe(boom);
    expect(scopeOf(worker).state).toBe('closed');
    expect(told).toEqual([[stop, 'close']]);
  });

  it('throws what failed while the scope closed', async () => {
    const stop = new Error('stop');
    const { worker, told } = await start(async () => {});
    scopeOf(worker).onClose(() => {
      throw stop;
    });
    await expect(worker.close()).rejects.toBe(stop);
    expect(scopeOf(worker).state).toBe('closed');
    expect(told).toEqual([]);
  });

  it('tells onError of limits for a pool that nobody knows', async () => {
    const worker = await bull.worker(await bull.queue(), async () => {});
    const told: unknown[] = [];
    scopeWorker(worker, { limits: { reddis: 3 }, onError: (error, where) => told.push(error, where) });
    await worker.close();
    expect(told).toEqual([expect.objectContaining({ code: 'ERR_UNKNOWN_LIMIT' }), 'limits']);
  });

  it('leaves an emitter that goes on emitting', async () => {
    const { worker } = await start(async () => {});
    const heard: unknown[] = [];
    worker.on('error', (error) => heard.push(error));
    await worker.close();
    const late = new Error('late');
    expect(worker.emit('error', late)).toBe(true);
    expect(worker.emit('paused')).toBe(false);
    expect(heard.at(-1)).toBe(late);
  });

  describe('with force', () => {
    // A worker whose scope waits for ever, unless it is forced.
    const startPatient = (processor: Processor) => start(processor, { graceMs: Number.POSITIVE_INFINITY });

    it('cancels what runs and closes the pools', async () => {
      const pool = bull.pool();
      const begun = new Gate();
      const ended: unknown[] = [];
      const { queue, worker, told } = await startPatient(async () => {
        await pool.incr('n');
        begun.open();
        const { signal } = currentScope();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        ended.push(signal.aborted);
      });
      await queue.add('job', {});
      await begun.opened;
      await worker.close(true);
      expect([ended, told]).toEqual([[true], []]);
      expect(scopeOf(worker).state).toBe('closed');
      expect(await bull.ours()).toBe(0);
    });

    it('ends a close() that waits for a job', async () => {
      const pool = bull.pool();
      const begun = new Gate();
      const { queue, worker, outcomes } = await startPatient(async () => {
        await pool.use(async () => {
          begun.open();
          await new Promise((_resolve, reject) => currentScope().signal.addEventListener('abort', () => reject(new Error('stopped'))));
        });
      });
      const job = await queue.add('job', {});
      await begun.opened;
      const closed = worker.close();
      await until(() => (worker as unknown as { closing?: unknown }).closing !== undefined);
      expect(scopeOf(worker).state).toBe('open');
      await worker.close(true);
      await closed;
      expect(outcomes.failed.get(String(job.id))).toMatchObject([{ message: 'stopped' }]);
      expect(await bull.ours()).toBe(0);
    });

    it('lets a close() that waited resolve, too, and the job complete that did its work after all', async () => {
      const [begun, gate] = [new Gate(), new Gate()];
      const { queue, worker, outcomes, told } = await startPatient(async () => {
        begun.open();
        await gate.opened;
        return 'done';
      });
      await queue.add('job', {});
      await begun.opened;
      const closed = worker.close();
      const forced = worker.close(true);
      await until(() => told.length > 0);
      gate.open();
      await Promise.all([closed, forced]);
      expect(new Set(told.map(([error]) => (error as { code?: string }).code))).toEqual(new Set(['ERR_SCOPE_TIMEOUT']));
      expect([outcomes.completed.get('1'), outcomes.failed.size]).toEqual(['done', 0]);
    });

    it('resolves and tells onError what it had to leave behind', async () => {
      const begun = new Gate();
      const { queue, worker, told } = await startPatient(async () => {
        begun.open();
        await never;
      });
      const job = await queue.add('job', {});
      await begun.opened;
      await worker.close(true);
      await worker.close(true);
      const closing = told.filter(([, where]) => where === 'close');
      expect(closing).toEqual([[expect.objectContaining({ code: 'ERR_SCOPE_TIMEOUT', pending: [`job:${job.id}`] }), 'close']]);
      expect(scopeOf(worker).state).toBe('closed');
    });

    it('lets BullMQ close first, which then fails no job that is cancelled', async () => {
      const states: string[] = [];
      const { worker } = await start(async () => {}, {
        prepare(bare) {
          (bare as unknown as Inside).close = async () => {
            await module.Worker.prototype.close.call(bare, true);
            states.push(scopeOf(bare).state);
          };
        },
      });
      await worker.close(true);
      expect([states, scopeOf(worker).state]).toEqual([['open'], 'closed']);
    });

    it('may be called by a job, which is then cancelled', async () => {
      const cancelled = new Gate();
      const { queue, worker, told } = await startPatient(async () => {
        currentScope().signal.addEventListener('abort', cancelled.open);
        void worker.close(true);
        await cancelled.opened;
      });
      await queue.add('job', {});
      await until(() => scopeOf(worker).state === 'closed');
      expect(told).toEqual([]);
    });

    it('leaves a job to be found stalled, as BullMQ does, and does not fail it', async () => {
      const begun = new Gate();
      const { queue, worker, outcomes } = await startPatient(async () => {
        begun.open();
        await new Promise((_resolve, reject) => currentScope().signal.addEventListener('abort', () => reject(new Error('stopped'))));
      });
      const job = await queue.add('job', {});
      await begun.opened;
      await worker.close(true);
      expect(outcomes.failed.size).toBe(0);
      expect(await job.getState()).toBe('active');
    });
  });
});
