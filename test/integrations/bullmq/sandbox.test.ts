import { fork } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Job } from 'bullmq';
import { Scope } from 'scoped-pool';
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { useCompiled } from '../../support/compiled.ts';
import { type Program, startProgram } from '../../support/program.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { BOTH_VERSIONS, Bull, outcomesOf, type Processor, type Queue, settled, type Worker } from './bull.ts';

const redis = useRedis();
const folder = useCompiled();
const LIMIT = 2;
/** For what waits until a child has started. */
const PATIENT = { timeoutMs: 20_000 };

/** The processor file: each job says what is to be done. What it returns names the child, and what the child had opened. */
const PROCESSOR = (url: string) => `
  import { writeFileSync } from 'node:fs';
  import { threadId } from 'node:worker_threads';
  import { DelayedError } from 'bullmq';
  import { currentScope } from 'scoped-pool';
  import { scopeSandbox } from 'scoped-pool/bullmq';
  import { defineRedisPool } from 'scoped-pool/redis';

  const pool = defineRedisPool('redis', { url: '${url}', service: 'sandbox', max: 10 });
  const child = threadId === 0 ? process.pid + '' : process.pid + '.' + threadId;
  const many = () => Promise.all(Array.from({ length: 50 }, () => pool.use((connection) => connection.incr('n'))));
  const never = new Promise(() => {});
  const DO = {
    idle: async () => {},
    many,
    // No job ends before three children have begun one.
    together: async () => {
      await pool.sadd('children', child);
      while ((await pool.scard('children')) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
      await many();
    },
    obey: async () => {
      await many();
      currentScope().root.onClose(() => writeFileSync(new URL('closed-' + child, import.meta.url), ''));
      const { signal } = currentScope();
      await pool.set('begun', child);
      // It may be cancelled before the answer to SET is here.
      await new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', resolve)));
      return { reason: String(signal.reason?.cause ?? signal.reason) };
    },
    ignore: async () => {
      await many();
      currentScope().root.onClose(() => writeFileSync(new URL('closed-' + child, import.meta.url), ''));
      setInterval(() => {}, 1_000);
      await pool.set('begun', child);
      await pool.use(() => never);
    },
    patient: async () => {
      await pool.set('begun', child);
      await pool.blpop('finish', 0);
    },
    fail: async () => { throw Object.assign(new RangeError('too far'), { code: 'E_FAR' }); },
    string: async () => { throw 'just words'; },
    nothing: async () => { throw undefined; },
    delay: async (job, token) => {
      await job.moveToDelayed(Date.now() + 3_600_000, token);
      throw new DelayedError();
    },
    crash: async () => {
      await many();
      setImmediate(() => { throw new Error('nobody caught this'); });
      await never;
    },
  };

  export default scopeSandbox(async (job, token) => {
    const extra = await DO[job.data](job, token);
    const scope = currentScope();
    return { child, job: scope.name, root: scope.root.name, stats: pool.stats().created, ...extra };
  }, { limits: { redis: ${LIMIT} } });`;

/** A processor file as people write it, with a client of its own. Notices that its parent has gone, and counts on. */
const RAW = (url: string) => `
  import { Redis } from 'ioredis';
  const client = new Redis('${url}', { connectionName: 'raw:' + process.pid });
  process.once('disconnect', () => setInterval(() => client.incr('orphan:' + process.pid), 1).unref());
  export default () => client.incr('n');`;

/** A child that is given a job when nobody is connected with it any more. */
const LATE = (file: URL) => `
  import processor from '${file.href}';
  const late = () => {
    process.exitCode = 7;
    processor({ id: '1', queueName: 'late', data: 'ignore' });
  };
  if (process.connected) process.once('disconnect', () => setImmediate(late));
  else late();`;

/** A program with a worker for a processor file, that does nothing else. */
const PARENT = `
  const [, , bullmq, port, queue, file, threads, end] = process.argv;
  const { Worker } = await import(bullmq);
  const connection = { host: '127.0.0.1', port: Number(port) };
  const worker = new Worker(queue, new URL(file), { connection, concurrency: 2, useWorkerThreads: threads === 'true' });
  process.stdin.once('data', async () => {
    process.stdin.unref();
    await worker.close();
  });`;

interface Result {
  readonly child: string;
  readonly job: string;
  readonly root: string;
  readonly stats: number;
}

const written = (file: string, text: string) => {
  writeFileSync(join(folder, file), text);
  return pathToFileURL(join(folder, file));
};
let processor: URL;
let raw: URL;
let parent: URL;

beforeAll(() => {
  processor = written('processor.mjs', PROCESSOR(redis().url));
  raw = written('raw.mjs', RAW(redis().url));
  parent = written('parent.mjs', PARENT);
});

/** By the name of a child, how many connections its pool has. */
async function connections(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { name = '' } of await redis().clients('sp:sandbox:')) {
    const child = name.slice(name.lastIndexOf(':') + 1);
    found[child] = (found[child] ?? 0) + 1;
  }
  return found;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

afterEach(async () => {
  await until(async () => Object.keys(await connections()).length === 0, PATIENT);
  await redis().empty();
});

const KINDS = [
  ['processes', false],
  ['threads', true],
] as const;

describe.each(BOTH_VERSIONS)('scopeSandbox() with %s', (version, module) => {
  const bull = new Bull(module, redis);

  describe.each(KINDS)('in %s', (_kind, useWorkerThreads) => {
    async function start(concurrency = 1): Promise<{ queue: Queue; worker: Worker; outcomes: ReturnType<typeof outcomesOf> }> {
      const queue = await bull.queue();
      // Threads take no flags of V8, with which the tests run.
      const plain = { workerForkOptions: { execArgv: [] }, workerThreadsOptions: { execArgv: [] } };
      const options = { concurrency, useWorkerThreads, ...plain, autorun: false };
      const worker = await bull.worker(queue, processor as unknown as Processor, options);
      return { queue, worker, outcomes: outcomesOf(worker) };
    }

    /** Runs one job after the other. */
    async function run(...todo: string[]) {
      const { queue, worker, outcomes } = await start();
      const jobs = await queue.addBulk(todo.map((data) => ({ name: 'job', data })));
      void worker.run();
      await settled(outcomes, todo.length);
      const of = (index: number) => outcomes.completed.get(String((jobs[index] as Job).id)) as Result | undefined;
      const errorOf = (index: number) => outcomes.failed.get(String((jobs[index] as Job).id))?.[0];
      return { queue, worker, of, errorOf, outcomes };
    }

    it('keeps one root and its connections in each child from job to job, and leaves nothing after close()', async () => {
      const { queue, worker, outcomes } = await start(3);
      await queue.addBulk(Array.from({ length: 30 }, () => ({ name: 'job', data: 'together' })));
      // Whoever starts the worker has a scope and connections of its own; they stay there.
      const scope = new Scope({ parent: null, name: 'outside' });
      onTestFinished(() => scope.close());
      await scope.run(() => bull.pool().incr('n'));
      scope.run(() => void worker.run());
      await settled(outcomes, 30);
      expect([...outcomes.failed.values()]).toEqual([]);
      const results = [...outcomes.completed.values()] as Result[];
      const children = [...new Set(results.map(({ child }) => child))];
      expect(children.length).toBe(3);
      expect(new Set(results.map(({ job }) => job)).size).toBe(30);
      expect(new Set(results.map(({ root }) => root))).toEqual(new Set([`sandbox:${queue.name}`]));
      expect(new Set(results.map(({ stats }) => stats))).toEqual(new Set([LIMIT]));
      expect(await connections()).toEqual(Object.fromEntries(children.map((child) => [child, LIMIT])));
      await worker.close();
      await until(async () => Object.keys(await connections()).length === 0, PATIENT);
      if (!useWorkerThreads) await until(() => !children.some((child) => isAlive(Number(child))));
    });

    it('opens nothing for jobs that use nothing', async () => {
      const { of, worker } = await run('idle', 'idle');
      expect([of(0)?.stats, of(1)?.stats]).toEqual([0, 0]);
      expect(await connections()).toEqual({});
      await worker.close();
    });

    it("cancels a job's scope with the job, and no other job's", async () => {
      const { queue, worker, outcomes } = await start();
      const [first, second] = await queue.addBulk([
        { name: 'job', data: 'obey' },
        { name: 'job', data: 'many' },
      ]);
      void worker.run();
      await until(() => redis().observer.get('begun'), PATIENT);
      worker.cancelJob(String(first?.id), 'enough');
      await settled(outcomes, 2);
      const results = [first, second].map((job) => outcomes.completed.get(String(job?.id)) as Result);
      expect(results).toMatchObject([{ reason: expect.stringContaining('enough') }, { stats: LIMIT }]);
      expect(results[0]?.child).toBe(results[1]?.child);
      await worker.close();
    });

    it('passes on errors, also what is none', async () => {
      const { errorOf, of, worker } = await run('fail', 'string', 'nothing', 'many');
      expect(errorOf(0)).toMatchObject({ message: 'too far', code: 'E_FAR', stack: expect.stringContaining('processor.mjs') });
      expect(errorOf(1)).toMatchObject({ code: 'ERR_THROWN_VALUE', message: expect.stringContaining('just words') });
      expect(errorOf(2)).toMatchObject({ code: 'ERR_THROWN_VALUE', message: expect.stringContaining('undefined') });
      expect(of(3)?.stats).toBe(LIMIT);
      await worker.close();
    });

    it('passes on that a job was delayed', async () => {
      const { queue, worker, outcomes } = await start();
      const errors: unknown[] = [];
      worker.on('error', (error) => errors.push(error));
      const job = await queue.add('job', 'delay');
      await queue.add('job', 'idle');
      void worker.run();
      await settled(outcomes, 1);
      expect([await job.getState(), outcomes.completed.size, errors]).toEqual(['delayed', 1, []]);
      await worker.close();
    });

    it('begins anew in another child after an exception that nobody caught', async () => {
      const { errorOf, of, queue, worker, outcomes } = await run('many', 'crash');
      expect(errorOf(1)).toMatchObject({ message: 'nobody caught this' });
      // BullMQ may give a job to the child while that exits, and hears no more of it than an unhandled rejection.
      await until(async () => Object.keys(await connections()).length === 0, PATIENT);
      const job = await queue.add('job', 'many', { attempts: 50, delay: 200, backoff: 50 });
      await until(() => outcomes.completed.has(String(job.id)), PATIENT);
      const [before, after] = [of(0), outcomes.completed.get(String(job.id)) as Result];
      expect([before?.stats, after?.stats]).toEqual([LIMIT, LIMIT]);
      expect(after?.child).not.toBe(before?.child);
      await until(async () => Object.keys(await connections()).length === 1);
      expect(await connections()).toEqual({ [String(after?.child)]: LIMIT });
      await worker.close();
    });

    it('lets a running job finish when the worker is closed', async () => {
      const { queue, worker, outcomes } = await start();
      await queue.add('job', 'patient');
      void worker.run();
      await until(() => redis().observer.get('begun'), PATIENT);
      const closed = worker.close();
      await redis().observer.rpush('finish', 'now');
      await closed;
      expect([outcomes.completed.size, outcomes.failed.size]).toEqual([1, 0]);
      await until(async () => Object.keys(await connections()).length === 0, PATIENT);
    });
  });

  describe('in a program of its own', () => {
    const programs: Program[] = [];
    afterEach(async () => {
      for (const program of programs.splice(0)) program.kill();
      // A child that outlives its parent must not outlive the test.
      for (const child of Object.keys(await connections())) if (isAlive(Number(child))) process.kill(Number(child), 'SIGKILL');
    });

    function launch(queue: Queue, file: URL, useThreads = false): Program {
      const bullmq = version === 'bullmq 6' ? 'bullmq' : 'bullmq-5';
      const args = [bullmq, String(redis().server.port), queue.name, file.href, String(useThreads)];
      const program = startProgram([parent.pathname, ...args]);
      programs.push(program);
      return program;
    }

    async function ended({ child }: Program): Promise<void> {
      await until(() => child.exitCode !== null || child.signalCode !== null, PATIENT);
    }

    it.each(KINDS)('ends by itself after close(), with %s', async (_kind, useThreads) => {
      const queue = await bull.queue();
      const program = launch(queue, processor, useThreads);
      await queue.addBulk([1, 2, 3, 4].map(() => ({ name: 'job', data: 'many' })));
      await until(async () => (await queue.getCompletedCount()) === 4, PATIENT);
      program.child.stdin?.write('\n');
      await ended(program);
      expect([program.child.exitCode, program.child.signalCode]).toEqual([0, null]);
    });

    it.each([
      ['processes', 'many', false],
      ['processes', 'obey', false],
      ['processes', 'ignore', false],
      ['threads', 'ignore', true],
    ] as const)('leaves no %s and no connection when it is killed after or in the job "%s"', async (_kind, todo, useThreads) => {
      const queue = await bull.queue();
      const program = launch(queue, processor, useThreads);
      const job = await queue.add('job', todo);
      await until(async () => (todo === 'many' ? await job.isCompleted() : await redis().observer.get('begun')), PATIENT);
      const children = await connections();
      expect(Object.values(children)).toEqual([LIMIT]);
      const pids = Object.keys(children).map((child) => Number.parseInt(child, 10));
      onTestFinished(() => pids.filter(isAlive).forEach((pid) => void process.kill(pid, 'SIGKILL')));
      program.child.kill('SIGKILL');
      await ended(program);
      await until(async () => Object.keys(await connections()).length === 0, PATIENT);
      await until(() => !Object.keys(children).some((child) => isAlive(Number.parseInt(child, 10))));
      if (todo !== 'many' && !useThreads)
        expect(Object.keys(children).map((child) => existsSync(join(folder, `closed-${child}`)))).toEqual([true]);
    });

    it('ends a child whose parent has gone when its first job begins', async () => {
      const late = written('late.mjs', LATE(processor));
      const child = fork(late.pathname, { execArgv: [] });
      onTestFinished(() => void child.kill('SIGKILL'));
      child.disconnect();
      await until(() => child.exitCode !== null || child.signalCode !== null, PATIENT);
      expect(child.exitCode).toBe(7);
    });

    it('would leave children with their connections, were they not scoped', async () => {
      const queue = await bull.queue();
      const program = launch(queue, raw);
      const job = await queue.add('job', {});
      await until(() => job.isCompleted(), PATIENT);
      const [client] = await redis().clients('raw:');
      const pid = Number(client?.name?.slice('raw:'.length));
      onTestFinished(() => void process.kill(pid, 'SIGKILL'));
      program.child.kill('SIGKILL');
      await ended(program);
      await until(async () => Number(await redis().observer.get(`orphan:${pid}`)) > 100);
      expect(isAlive(pid)).toBe(true);
    });
  });
});
