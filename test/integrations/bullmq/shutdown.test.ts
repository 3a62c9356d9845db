import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { currentScope, Scope } from 'scoped-pool';
import { scopeOf, scopeWorker, shutdown } from 'scoped-pool/bullmq';
import { afterAll, afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from '../../../dev/fault-proxy.ts';
import { type EndingFacts, nextStep } from '../../../src/integrations/bullmq/ending.ts';
import { WorkerInsides } from '../../../src/integrations/bullmq/inside.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, outcomesOf, type Processor, VERSIONS, type Worker } from './bull.ts';

// Some tests kill it; the jobs must still be there when it is back.
const redis = useRedis({ fresh: true, appendOnly: true });
const never = new Promise<never>(() => {});
const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-shutdown-'));
afterAll(() => rmSync(folder, { recursive: true }));
const FILE = join(import.meta.dirname, 'hanging.cjs');
const CLEAN = { clean: true, pending: [], forcedLeases: 0 };

/** Resolves when the scope that asks is cancelled. */
const cancelled = () => new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

// The other major version is that of the other test run, as vitest.config.ts says.
describe.each(VERSIONS.slice(0, 1))('shutdown() on %s', (_, module) => {
  const bull = new Bull(module, redis);
  let isDown = false;
  afterEach(async () => {
    if (isDown) await up();
  });

  async function down() {
    isDown = true;
    await redis().server.kill('SIGKILL');
  }

  async function up() {
    await redis().server.restart();
    await until(() => redis().observer.ping(), { timeoutMs: 20_000 });
    isDown = false;
  }

  async function start(processor: Processor | string, { wrapped = true, attempts = 1, ...options }: Record<string, unknown> = {}) {
    const queue = await bull.queue();
    const before = new Set((await redis().clients()).map(({ id }) => id));
    const worker = await bull.worker(queue, processor as Processor, options);
    const told: unknown[] = [];
    if (wrapped) scopeWorker(worker, { onError: (error) => void told.push(error) });
    const add = (data: object = {}) => queue.add('job', data, { attempts: Number(attempts) });
    const left = async () => (await redis().clients()).filter(({ id }) => !before.has(id)).length;
    return { queue, worker, outcomes: outcomesOf(worker), told, add, left };
  }

  /** A worker whose job has begun. */
  async function busy(processor: Processor, options: Record<string, unknown> = {}) {
    const begun = new Gate();
    const process: Processor = async (job, token, signal) => {
      begun.open();
      return processor(job, token, signal);
    };
    const started = await start(process, options);
    const job = await started.add();
    await begun.opened;
    return { ...started, job, name: `${started.queue.name}/job:${job.id}` };
  }

  it('closes workers in which no job runs, wrapped or not, and their connections', async () => {
    const [one, two] = [await start(async () => {}), await start(async () => {}, { wrapped: false })];
    expect(await shutdown([one.worker, two.worker, one.worker])).toEqual(CLEAN);
    expect(scopeOf(one.worker).state).toBe('closed');
    await until(async () => (await two.left()) === 0);
    expect(one.told).toEqual([]);
  });

  it('closes one that has never run', async () => {
    const { worker } = await start(async () => {}, { autorun: false });
    expect(await shutdown(worker)).toEqual(CLEAN);
  });

  it('lets a running job go on acquiring, and takes no other', async () => {
    const pool = bull.pool();
    const go = new Gate();
    const { worker, add, job, left } = await busy(async () => {
      await go.opened;
      return pool.use((connection) => connection.incr('n'));
    });
    const ended = shutdown(worker);
    const other = await add();
    await until(() => (worker as { closing?: unknown }).closing !== undefined);
    go.open();
    expect(await ended).toEqual(CLEAN);
    expect([await job.getState(), await other.getState()]).toEqual(['completed', 'waiting']);
    await until(async () => (await left()) === 0);
  });

  it('lets a job run normally that BullMQ hands over while it closes', async () => {
    const pool = bull.pool();
    const { worker, add, outcomes } = await start(async () => pool.incr('n'));
    const inside = worker as unknown as { moveToActive(...args: unknown[]): Promise<unknown> };
    const { moveToActive } = inside;
    let ended: Promise<unknown> | undefined;
    inside.moveToActive = async (...args) => {
      const job = await moveToActive.apply(worker, args);
      if (job) ended ??= shutdown(worker);
      return job;
    };
    const job = await add();
    expect(await until(() => ended)).toEqual(CLEAN);
    expect([await job.getState(), outcomes.failed.size]).toEqual(['completed', 0]);
  });

  it.each([true, false])('cancels jobs after graceMs (wrapped: %s), which fail and are tried again', async (wrapped) => {
    const seen: unknown[] = [];
    const { worker, job, outcomes, told } = await busy(
      (_job, _token, signal) =>
        new Promise((_resolve, reject) => {
          const stop = () => reject(signal?.reason);
          signal?.addEventListener('abort', () => seen.push('signal') && stop());
          if (wrapped) currentScope().signal.addEventListener('abort', () => seen.push('scope'));
        }),
      { wrapped, attempts: 2 },
    );
    expect(await shutdown(worker, { graceMs: 50, cancelMs: 20_000 })).toEqual(CLEAN);
    expect(new Set(seen)).toEqual(new Set(wrapped ? ['signal', 'scope'] : ['signal']));
    expect(outcomes.failed.get(String(job.id))).toMatchObject([{ code: 'ERR_JOB_CANCELLED' }]);
    expect([await job.getState(), told]).toEqual(['waiting', []]);
  });

  it('cancels the scopes of jobs that have no signal', async () => {
    const pool = bull.pool();
    const queue = await bull.queue();
    const begun = new Gate();
    const bare = await bull.worker(queue, async () => {
      begun.open();
      await pool.blpop('nothing', 0);
    });
    scopeWorker(bare, { abortable: false });
    const job = await queue.add('job', {});
    await begun.opened;
    expect(await shutdown(bare, { graceMs: 50, cancelMs: 20_000 })).toEqual(CLEAN);
    expect(await job.getState()).toBe('failed');
  });

  it('ends a job that ignores that by force, and revokes its leases', async () => {
    const pool = bull.pool();
    const { worker, job, name, told, left } = await busy(() => pool.use(() => never));
    await until(async () => (await bull.ours()) === 1);
    expect(await shutdown(worker, { graceMs: 50, cancelMs: 50 })).toEqual({ clean: false, pending: [name], forcedLeases: 1 });
    expect(told).toMatchObject([
      { code: 'ERR_WORKER_TIMEOUT', pending: [name] },
      { code: 'ERR_LEASE_LEAKED' },
      { code: 'ERR_SCOPE_TIMEOUT', pending: ['its body'] },
      { code: 'ERR_SCOPE_TIMEOUT', pending: [`job:${job.id}`] },
    ]);
    expect((told[0] as Error).message).toMatch(`left behind: ${name}. Let jobs end on their AbortSignal`);
    expect(scopeOf(worker).state).toBe('closed');
    await until(async () => (await left()) === 0);
    // BullMQ gives it to another worker when its lock has expired.
    expect(await job.getState()).toBe('active');
  });

  it('names what a worker without a scope does not end, and leaves no connection', async () => {
    const { worker, name, left } = await busy(() => never, { wrapped: false });
    const errors: unknown[] = [];
    worker.on('error', (error) => errors.push(error));
    expect(await shutdown(worker, { graceMs: 50, cancelMs: 50 })).toEqual({ clean: false, pending: [name], forcedLeases: 0 });
    expect(errors).toContainEqual(expect.objectContaining({ code: 'ERR_WORKER_TIMEOUT' }));
    await until(async () => (await left()) === 0);
  });

  it('counts no lease that a job has left behind as forced', async () => {
    const pool = bull.pool();
    const leaked = new Gate();
    const { worker, told } = await busy(async () => void (await pool.acquire().then(leaked.open)));
    await leaked.opened;
    expect(await shutdown(worker)).toEqual(CLEAN);
    expect(told).toMatchObject([{ code: 'ERR_LEASE_LEAKED' }]);
    expect(await bull.ours()).toBe(0);
  });

  it('has no patience with force', async () => {
    const { worker, name } = await busy(() => never);
    expect(await shutdown(worker, { force: true, graceMs: 60_000 })).toEqual({ clean: false, pending: [name], forcedLeases: 0 });
    const idle = await start(async () => {});
    expect(await shutdown(idle.worker, { force: true })).toEqual(CLEAN);
  });

  it('is one end, whoever asks, and hurried by who has less patience', async () => {
    const { worker, name } = await busy(() => cancelled().then(() => never));
    const patient = shutdown(worker, { graceMs: Number.POSITIVE_INFINITY });
    const hurried = shutdown([worker], { graceMs: 1, cancelMs: 50 });
    expect(await Promise.all([patient, hurried])).toEqual(Array(2).fill({ clean: false, pending: [name], forcedLeases: 0 }));
    expect(await shutdown(worker)).toEqual(await patient);
  });

  it('joins a close that somebody else has begun, or has done', async () => {
    const go = new Gate();
    const { worker, job } = await busy(() => go.opened);
    const closed = worker.close();
    const ended = shutdown(worker);
    go.open();
    expect(await ended).toEqual(CLEAN);
    await closed;
    expect(await job.getState()).toBe('completed');
    const { worker: other } = await start(async () => {});
    await other.close();
    expect(await shutdown(other)).toEqual(CLEAN);
  });

  it('cancels a job that others wait for in close()', async () => {
    const { worker, job } = await busy(() => cancelled());
    const closed = worker.close();
    expect(await shutdown(worker, { graceMs: 1, cancelMs: 20_000 })).toEqual(CLEAN);
    await closed;
    expect(await job.getState()).toBe('completed');
  });

  it('comes to an end also when a job awaits it', async () => {
    const reports: unknown[] = [];
    const go = new Gate();
    const { worker, name } = await busy(async () => {
      await go.opened;
      reports.push(await shutdown(worker, { graceMs: 1, cancelMs: 1 }));
    });
    go.open();
    await until(() => reports.length > 0);
    expect(reports).toEqual([{ clean: false, pending: [name], forcedLeases: 0 }]);
  });

  it.each([{ force: true }, { graceMs: 50, cancelMs: 0 }])('cancels what it does not wait for: %o', async (options) => {
    for (const wrapped of [true, false]) {
      let reason: unknown;
      const processor: Processor = (_job, _token, signal) => {
        signal?.addEventListener('abort', () => {
          reason = signal.reason;
        });
        return never;
      };
      const { worker, name } = await busy(processor, { wrapped });
      expect(await shutdown(worker, options)).toEqual({ clean: false, pending: [name], forcedLeases: 0 });
      expect(reason).toMatchObject({ code: 'ERR_JOB_CANCELLED' });
    }
  });

  it('cancels tasks of the worker, too, and tells of those that go on', async () => {
    const { worker, told } = await start(async () => {});
    const task = scopeOf(worker).spawn(() => cancelled().then(() => 'cancelled'));
    expect(await shutdown(worker, { graceMs: 50, cancelMs: 20_000 })).toEqual(CLEAN);
    expect([await task, told]).toEqual(['cancelled', []]);
    const other = await start(async () => {});
    scopeOf(other.worker).spawn(() => never, { name: 'stubborn' });
    expect(await shutdown(other.worker, { graceMs: 1, cancelMs: 50 })).toMatchObject({ clean: false, pending: [] });
    expect(other.told).toMatchObject([
      { code: 'ERR_WORKER_TIMEOUT', pending: [] },
      { code: 'ERR_SCOPE_TIMEOUT', pending: ['stubborn'] },
    ]);
    expect((other.told[0] as Error).message).toMatch('no job was left. What was spawned or opened in its scope had not ended');
  });

  it('tells onError what fails while the scope closes, and resolves', async () => {
    const { worker, told } = await start(async () => {});
    const boom = new Error('boom');
    scopeOf(worker).onClose(() => Promise.reject(boom));
    expect(await shutdown(worker)).toEqual({ ...CLEAN, clean: false });
    expect(told).toEqual([boom]);
  });

  it('does not close a scope that the worker shares', async () => {
    const scope = new Scope({ parent: null, name: 'shared' });
    const { worker } = await start(async () => {}, { wrapped: false });
    scopeWorker(worker, { scope });
    expect(await shutdown(worker)).toEqual(CLEAN);
    expect(scope.state).toBe('open');
    await scope.close();
  });

  it('does not close a client that was given to BullMQ', async () => {
    const client = new Redis(redis().url, { maxRetriesPerRequest: null });
    const { worker } = await busy(() => never, { connection: client });
    expect(await shutdown(worker, { graceMs: 1, cancelMs: 1 })).toMatchObject({ clean: false });
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('refuses what is no worker, and wrong options, at once', async () => {
    const { worker } = await start(async () => {});
    expect(() => shutdown({} as Worker)).toThrow(expect.objectContaining({ code: 'ERR_NOT_A_WORKER' }));
    expect(() => shutdown([worker, undefined as unknown as Worker])).toThrow(expect.objectContaining({ code: 'ERR_NOT_A_WORKER' }));
    expect(() => shutdown(worker, worker as object)).toThrow('options must be an object of settings (several workers go into an array)');
    for (const options of [{ graceMs: -1 }, { cancelMs: '1' }, { force: 1 }, { grace: 1 }])
      expect(() => shutdown(worker, options as object)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
    expect(worker.isRunning()).toBe(true);
    expect(await shutdown([])).toEqual(CLEAN);
  });

  describe('of a sandboxed worker', () => {
    let files = 0;
    async function sandboxed(data: object, options: Record<string, unknown> = {}) {
      const started = await start(FILE, { wrapped: false, ...options });
      const file = join(folder, `${module.Worker.length}-${started.queue.name}-${++files}`);
      const job = await started.add({ ...data, file });
      const pid = await until(() => Number(readFileSync(file, 'utf8')), { timeoutMs: 20_000 });
      return { ...started, job, pid, name: `${started.queue.name}/job:${job.id}` };
    }

    it('waits for its jobs', async () => {
      const { worker, job, pid } = await sandboxed({ ms: 100 });
      expect(await shutdown(worker)).toEqual(CLEAN);
      expect([await job.getState(), isAlive(pid)]).toEqual(['completed', false]);
    });

    it('cancels them', async () => {
      const { worker, job, pid, outcomes } = await sandboxed({ obeys: true });
      expect(await shutdown(worker, { graceMs: 1, cancelMs: 20_000 })).toEqual(CLEAN);
      expect(outcomes.failed.get(String(job.id))).toMatchObject([{ message: expect.stringContaining('shuts down') }]);
      expect(isAlive(pid)).toBe(false);
    });

    it.each([{}, { useWorkerThreads: true, workerThreadsOptions: { execArgv: [] } }])(
      'kills those that ignore it, whose jobs fail (%o)',
      async (options) => {
        const { worker, job, pid, left } = await sandboxed({}, options);
        // That it has failed is recorded: nothing is left of it.
        expect(await shutdown(worker, { graceMs: 1, cancelMs: 50 })).toEqual({ clean: false, pending: [], forcedLeases: 0 });
        if (pid !== process.pid) await until(() => !isAlive(pid));
        expect(await job.getState()).toBe('failed');
        await until(async () => (await left()) === 0);
      },
    );
  });

  describe('without Redis', () => {
    /** No connection is there, nor comes in the time in which whoever would connect again does so. */
    async function expectNone() {
      await until(async () => {
        expect(await redis().clients()).toEqual([]);
        return true;
      });
      const received = await redis().connectionsReceived();
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      expect(await redis().connectionsReceived()).toBe(received);
    }

    it.each([true, false])('ends idle workers (wrapped: %s), and none connects again', async (wrapped) => {
      const { worker, queue } = await start(async () => {}, { wrapped });
      await queue.close();
      await down();
      await until(() => !isReady(worker));
      expect(await shutdown(worker)).toEqual({ clean: false, pending: [], forcedLeases: 0 });
      await worker.close();
      await up();
      await expectNone();
    });

    it('ends idle workers of a server that does not answer, and says what to look at', async () => {
      const { worker, told } = await start(async () => {});
      await until(() => isReady(worker));
      await redis().server.kill('SIGSTOP');
      try {
        expect(await shutdown(worker, { graceMs: 50, cancelMs: 50 })).toMatchObject({ pending: [], forcedLeases: 0 });
      } finally {
        await redis().server.kill('SIGCONT');
      }
      const said = told.map((error) => (error as Error).message);
      expect(said).toEqual([expect.stringMatching(/no job was left\. Redis could not be reached, or did not answer; look there/)]);
    });

    it('ends a worker that never had a connection', async () => {
      const proxy = await FaultProxy.start(redis().server);
      onTestFinished(() => proxy.stop());
      proxy.admit = 'silent';
      const { host, port } = proxy;
      const worker = scopeWorker(new module.Worker('never', async () => {}, { connection: { host, port } }), { onError: () => {} });
      worker.on('error', () => {});
      await until(() => proxy.open === 2);
      expect(await shutdown(worker)).toMatchObject({ clean: false, pending: [] });
    });

    it('ends what hangs in a close() that somebody else has begun', async () => {
      const { worker, queue } = await start(async () => {});
      await queue.close();
      await down();
      await until(() => !isReady(worker));
      void worker.close();
      expect(await shutdown(worker)).toMatchObject({ clean: false, pending: [] });
      expect(scopeOf(worker).state).toBe('closed');
      await up();
      await expectNone();
    });

    it.each(['before', 'after'])('waits for it as long as for a job, which ends %s it is back, to record the end', async (when) => {
      const go = new Gate();
      const { worker, job, name } = await busy(() => go.opened);
      const ended = shutdown(worker, { graceMs: 30_000 });
      await down();
      if (when === 'before') {
        go.open();
        await until(() => jobsOf(worker).length === 0);
      }
      await up();
      go.open();
      expect(await ended).toEqual(CLEAN);
      expect([name, await job.getState()]).toEqual([`${worker.name}/job:${job.id}`, 'completed']);
    });

    it('closes in order when it comes back while a job runs', async () => {
      const go = new Gate();
      const { worker, job } = await busy(() => go.opened);
      await down();
      await until(() => !isReady(worker));
      const ended = shutdown(worker, { graceMs: 30_000 });
      await up();
      go.open();
      expect(await ended).toEqual(CLEAN);
      expect(await job.getState()).toBe('completed');
    });

    it.each([true, false])('names jobs whose end it cannot record (wrapped: %s)', async (wrapped) => {
      const go = new Gate();
      const { worker, job, name, queue } = await busy(() => go.opened, { wrapped });
      await down();
      const ended = shutdown(worker, { graceMs: 50, cancelMs: 50 });
      if (wrapped) go.open();
      expect(await ended).toEqual({ clean: false, pending: [name], forcedLeases: 0 });
      await up();
      // Its lock expires, and another worker runs it again.
      expect(await job.getState()).toBe('active');
      await queue.close();
      await expectNone();
    });
  });
});

/** What our side knows to run. */
function jobsOf(worker: Worker): readonly string[] {
  return scopeOf(worker)
    .tree()
    .children.map(({ name }) => name);
}

/** Whether the connection that jobs are recorded over is there. */
function isReady(worker: Worker): boolean {
  return new WorkerInsides(worker).isReady;
}

describe('nextStep()', () => {
  const facts: EndingFacts = { isClosing: false, isClosed: false, isClosedByOthers: false, isReady: true, isBusy: false, idleMs: 0 };
  const patience = { cancelAt: 100, forceAt: 200 };

  it.each([
    [{ isClosed: true, isBusy: true }, 999, 'done'],
    [{}, 0, 'close'],
    [{ isBusy: true }, 0, 'close'],
    [{ isReady: false }, 0, 'wait'],
    [{ isReady: false, isClosedByOthers: true }, 0, 'close'],
    [{ isClosing: true }, 0, 'wait'],
    [{ isClosing: true, isBusy: true }, 99, 'wait'],
    [{ isClosing: true, isBusy: true }, 100, 'cancel'],
    [{ isClosing: true, isBusy: true }, 200, 'force'],
    [{ isReady: false, isBusy: true, idleMs: 0 }, 199, 'cancel'],
    [{ isReady: false, isBusy: true, idleMs: 0 }, 200, 'force'],
    [{ isReady: false, idleMs: 1_999 }, 999, 'wait'],
    [{ isReady: false, idleMs: 2_000 }, 50, 'force'],
    [{ isClosing: true, isReady: false, idleMs: 2_000 }, 50, 'force'],
    [{ isClosing: true, idleMs: 2_000 }, 199, 'wait'],
    [{ isClosing: true, idleMs: 2_000 }, 200, 'force'],
    [{ isClosing: true, idleMs: 1_999 }, 200, 'wait'],
  ] as const)('of %o at %d is %s', (changed, at, step) => {
    expect(nextStep({ ...facts, ...changed }, patience, at)).toBe(step);
  });
});
