import { currentScope, Scope, tryCurrentScope, withRoot } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { Bull, Gate, outcomesOf, settled, VERSIONS, type Worker, workerScope } from './bull.ts';

const nothing = async () => {};

const redis = useRedis();

describe.each(VERSIONS)('scopeWorker on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const anyWorker = async () => bull.worker(await bull.queue(), nothing);

  it('gives the same worker back, with a root scope named after it', async () => {
    const worker = await anyWorker();
    const keys = Object.keys(worker);
    expect(scopeWorker(worker)).toBe(worker);
    expect(Object.keys(worker)).toEqual(keys);
    expect(scopeOf(worker)).toMatchObject({ name: `worker:${worker.name}`, parent: null, state: 'open' });
  });

  it('opens a root also when it is called inside another scope', async () => {
    const worker = await anyWorker();
    await withRoot(() => scopeWorker(worker));
    expect(scopeOf(worker)).toMatchObject({ parent: null, state: 'open' });
    expect(scopeOf(worker).root).toBe(scopeOf(worker));
  });

  it('runs each job in a scope of its own below the scope of the worker', async () => {
    const queue = await bull.queue();
    const seen = new Map<string, Scope>();
    const both = new Gate();
    const process = async (job: { id?: string | undefined }) => {
      seen.set(String(job.id), currentScope());
      if (seen.size === 2) both.open();
      await both.opened;
    };
    const worker = scopeWorker(await bull.worker(queue, process, { concurrency: 2 }));
    const outcomes = outcomesOf(worker);
    await queue.addBulk([
      { name: 'a', data: {} },
      { name: 'b', data: {} },
    ]);
    await settled(outcomes, 2);
    const scopes = [...seen].map(([id, scope]) => [`job:${id}`, scope.name, scope.parent === scopeOf(worker), scope.state]);
    expect(scopes).toEqual([
      ['job:1', 'job:1', true, 'closed'],
      ['job:2', 'job:2', true, 'closed'],
    ]);
    expect(scopeOf(worker).tree().children).toEqual([]);
  });

  it('wraps a worker that runs already; a job begun before runs on without a scope, and is told why', async () => {
    const queue = await bull.queue();
    const pool = bull.pool();
    const [begun, wrapped] = [new Gate(), new Gate()];
    const process = async () => {
      begun.open();
      await wrapped.opened;
      await pool.incr('n');
      return workerScope().name;
    };
    const worker = await bull.worker(queue, process);
    const outcomes = outcomesOf(worker);
    await queue.add('before', {});
    await begun.opened;
    scopeWorker(worker);
    wrapped.open();
    await queue.add('after', {});
    await settled(outcomes, 2);
    expect(outcomes.failed.get('1')).toMatchObject([
      { code: 'ERR_NO_SCOPE', message: expect.stringContaining('began before scopeWorker()') },
    ]);
    expect(outcomes.completed.get('2')).toBe(scopeOf(worker).name);
  });

  it('gives each worker pools of its own', async () => {
    const pool = bull.pool();
    const opened = async () => {
      const queue = await bull.queue();
      const worker = scopeWorker(await bull.worker(queue, async () => pool.incr('n')));
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      return worker;
    };
    const [first, second] = [await opened(), await opened()];
    expect(await bull.ours()).toBe(2);
    await first.close();
    expect(await bull.ours()).toBe(1);
    await second.close();
    expect(await bull.ours()).toBe(0);
  });

  it('lets workers share a scope that is given, and leaves it open', async () => {
    const scope = new Scope({ parent: null, name: 'app', limits: { redis: 1 } });
    onTestFinished(() => scope.close());
    const pool = bull.pool();
    const workers: Worker[] = [];
    for (let n = 0; n < 2; n++) {
      const queue = await bull.queue();
      const worker = scopeWorker(await bull.worker(queue, async () => pool.use(() => workerScope().name)), { scope });
      workers.push(worker);
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(outcomes.completed.get('1')).toBe('app');
      expect(scopeOf(worker)).toMatchObject({ name: `worker:${queue.name}`, state: 'open' });
      expect(scopeOf(worker).parent === scope).toBe(true);
    }
    for (const worker of workers) await worker.close();
    await workers[0]?.close(true);
    expect(workers.map((worker) => scopeOf(worker).state)).toEqual(['closed', 'closed']);
    expect(scope.state).toBe('open');
    expect(await bull.ours()).toBe(1);
    await scope.close();
    expect(await bull.ours()).toBe(0);
  });

  it('wraps once: again it gives the same worker and scope, and the newest onError is told', async () => {
    const queue = await bull.queue();
    const pool = bull.pool();
    const told: string[] = [];
    const leak = async () => void (await pool.acquire());
    const options = { limits: { redis: 3 }, onError: () => told.push('first') };
    const worker = scopeWorker(await bull.worker(queue, leak), options);
    const scope = scopeOf(worker);
    const { callProcessJob, close, emit } = worker as unknown as Record<string, unknown>;
    expect(scopeWorker(worker)).toBe(worker);
    expect(scopeWorker(worker, { limits: { redis: 3 }, onError: () => told.push('newest') })).toBe(worker);
    expect(scopeOf(worker)).toBe(scope);
    expect(worker).toMatchObject({ callProcessJob, close, emit });
    const outcomes = outcomesOf(worker);
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(told).toEqual(['newest']);
  });

  it.each([
    ['limits', { limits: { redis: 4 } }],
    ['graceMs', { graceMs: 1 }],
    ['scope', { scope: new Scope({ parent: null, name: 'app', limits: { redis: 3 } }) }],
  ] as const)('refuses other %s for a worker that is wrapped already', async (option, other) => {
    const worker = scopeWorker(await anyWorker(), { limits: { redis: 3 } });
    const refusal = expect.objectContaining({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringContaining(`${option} must be the same wherever a worker and its processor are wrapped`),
    });
    expect(() => scopeWorker(worker, other)).toThrow(refusal);
  });

  it('refuses a sandboxed worker and says where its scope belongs', async () => {
    const queue = await bull.queue();
    const file = new URL('./sandbox.cjs', import.meta.url);
    const worker = await bull.worker(queue, file as unknown as typeof nothing, { useWorkerThreads: true });
    const message = expect.stringContaining('Scope the processor file instead');
    expect(() => scopeWorker(worker)).toThrow(expect.objectContaining({ code: 'ERR_SANDBOXED_WORKER', message }));
  });

  it('refuses what is no worker', async () => {
    const queue = await bull.queue();
    const { NotAWorkerError } = await import('scoped-pool');
    for (const [wrong, said] of [
      [queue, `got Queue "${queue.name}"`],
      [undefined, 'got undefined'],
      [{}, 'got an object'],
      [nothing, 'got a function. To wrap a processor there is scoped(), for a class withScopes()'],
    ] as const) {
      expect(() => scopeWorker(wrong as unknown as Worker)).toThrow(NotAWorkerError);
      expect(() => scopeWorker(wrong as unknown as Worker)).toThrow(said);
    }
  });

  it('refuses a worker that is closing or closed, wrapped or not', async () => {
    const [bare, wrapped] = [await anyWorker(), scopeWorker(await anyWorker())];
    const refusal = expect.objectContaining({ code: 'ERR_WORKER_CLOSED' });
    for (const worker of [bare, wrapped]) {
      const closed = worker.close();
      expect(() => scopeWorker(worker)).toThrow(refusal);
      await closed;
      expect(() => scopeWorker(worker)).toThrow(refusal);
    }
  });

  it('says of a worker without a scope how it gets one', async () => {
    const worker = await anyWorker();
    const message = expect.stringContaining(`Worker "${worker.name}" has no scope. Wrap it first`);
    expect(() => scopeOf(worker)).toThrow(expect.objectContaining({ code: 'ERR_WORKER_NOT_SCOPED', message }));
    expect(() => scopeOf(undefined as unknown as Worker)).toThrow('undefined has no scope');
  });

  it('checks its options at once and leaves a worker as it was that it refuses', async () => {
    const worker = await anyWorker();
    const scope = new Scope({ parent: null });
    for (const [wrong, said] of [
      [
        { limit: { redis: 3 } },
        'scopeWorker(): limit must be absent: did you mean "limits"? known are limits, scope, onError, onLeakedLease, abortable, detach, graceMs',
      ],
      [{ limits: { redis: 0 } }, 'scopeWorker(): limits.redis must be an integer from 1'],
      [{ limits: 3 }, 'scopeWorker(): limits'],
      [{ scope: {} }, 'scopeWorker(): scope must be a Scope'],
      [{ onError: 'log' }, 'scopeWorker(): onError must be a function'],
      [{ graceMs: -1 }, 'scopeWorker(): graceMs must be milliseconds'],
      [{ limits: () => ({ redis: 0 }) }, 'scopeWorker(): what limits() gave: limits.redis must be an integer from 1'],
      [{ limits: () => undefined }, 'scopeWorker(): what limits() gave: limits must be an object'],
      [{ onLeakedLease: 'throw' }, 'scopeWorker(): onLeakedLease must be one of "report", "fail", "ignore"'],
      [{ abortable: 1 }, 'scopeWorker(): abortable must be true or false'],
      [{ detach: 1 }, 'scopeWorker(): detach must be true or false'],
      [null, 'scopeWorker(): options must be an object'],
    ] as const) {
      const options = wrong as unknown as Parameters<typeof scopeWorker>[1];
      expect(() => scopeWorker(worker, options)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
      expect(() => scopeWorker(worker, options)).toThrow(said);
    }
    await scope.close();
    expect(() => scopeWorker(worker, { scope })).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
    expect(Object.keys(worker)).not.toContain('close');
    expect(() => scopeOf(worker)).toThrow('has no scope');
    expect(tryCurrentScope()).toBeUndefined();
  });
});
