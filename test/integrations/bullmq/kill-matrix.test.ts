import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { useCompiled } from '../../support/compiled.ts';
import { type Program, startProgram } from '../../support/program.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, type BullMQ, type Job, type Queue, VERSIONS } from './bull.ts';

// Killed and restarted; the jobs are still there then.
const redis = useRedis({ fresh: true, appendOnly: true });
const folder = useCompiled();
const running: Program[] = [];
afterEach(() => {
  for (const program of running.splice(0)) program.kill();
});

/** What each program may take from the signal to its end, on a busy machine. */
const DEADLINE_MS = 12_000;

/** A worker that ends on signals. What is told of it stands on its standard output, one JSON object per line. */
const PROGRAM = `
  import { scopeWorker, handleSignals } from './integrations/bullmq/index.js';
  import { defineRedisPool } from './redis/index.js';

  const { bullmq, url, port, queue, job, file, scoped = true, graceMs = 5_000, exit = true, onDone } = JSON.parse(process.argv[2]);
  const { Worker } = (await import(bullmq)).default;
  const say = (fact) => process.stdout.write(JSON.stringify(fact) + '\\n');
  const pool = defineRedisPool('p', { url, service: 's', max: 5 });
  const JOBS = {
    async slow() {
      for (let n = 0; n < 40; n++) {
        await pool.use((connection) => connection.incr('n'));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async long() { await new Promise((resolve) => setTimeout(resolve, 1_500)); },
    async stubborn() { await pool.use(() => new Promise((resolve) => setTimeout(resolve, 1e6))); },
    async leaky() { await pool.acquire(); },
    async nothing() { throw undefined; },
    async text() { throw 'boom'; },
  };
  const DONE = {
    hangs: () => new Promise((resolve) => setTimeout(resolve, 1e6)),
    throws: () => { throw new Error('onDone'); },
  };
  const process_ = async () => { say({ begun: true }); await JOBS[job](); };
  const worker = new Worker(queue, file ?? process_, {
    connection: { host: '127.0.0.1', port }, lockDuration: 1_000, stalledInterval: 200, concurrency: file ? 2 : 1,
  });
  worker.on('error', () => {});
  worker.on('ioredis:close', () => say({ lost: true }));
  worker.on('failed', (_job, error) => say({ failed: error.code }));
  const onError = (error) => say({ error: error.code ?? error.message });
  if (!file && scoped) scopeWorker(worker, { onError });
  handleSignals([worker], {
    graceMs, cancelMs: 500, exit,
    onDone: (report) => { say({ report }); return DONE[onDone]?.(); },
  });
  await worker.waitUntilReady();
  say({ ready: true });`;

interface Running {
  readonly program: Program;
  /** Waits for a line that has this key. */
  said(key: string): Promise<unknown>;
  signal(name: NodeJS.Signals): void;
  /** Its exit code, when it has ended, which it must within the deadline. */
  ended(): Promise<number | string | null>;
}

function run(settings: object): Running {
  const file = join(folder, 'matrix.mjs');
  writeFileSync(file, PROGRAM);
  const program = startProgram([file, JSON.stringify({ url: redis().url, port: redis().server.port, ...settings })]);
  running.push(program);
  const { child } = program;
  let text = '';
  child.stdout?.on('data', (bytes) => {
    text += bytes;
  });
  const facts = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const exited = once(child, 'exit');
  return {
    program,
    said: (key) => until(() => facts().find((fact) => key in fact)?.[key], { timeoutMs: 20_000 }),
    signal: (name) => void child.kill(name),
    async ended() {
      const begun = performance.now();
      const [code, signal] = await exited;
      expect(performance.now() - begun).toBeLessThan(DEADLINE_MS);
      return code ?? signal;
    },
  };
}

async function up(): Promise<void> {
  await redis().server.restart();
  await until(() => redis().observer.ping(), { timeoutMs: 20_000 });
}

/** Whether no connection is left but those of the test: of its queue. */
async function expectNoConnections(): Promise<void> {
  await until(async () => (await redis().clients('sp:')).length === 0, { timeoutMs: 10_000 });
  await until(async () => (await redis().clients()).length <= 1, { timeoutMs: 10_000 });
}

class Matrix {
  readonly #bull: Bull;
  readonly #name: string;

  constructor(module: BullMQ, name: string) {
    this.#bull = new Bull(module, redis);
    this.#name = name;
  }

  /** A program whose worker is ready, and in which this job has begun. */
  async start(job?: string, settings: object = {}, data: object = {}): Promise<Running & { queue: Queue; job: Job; name: string }> {
    const queue = await this.#bull.queue();
    const started = run({ bullmq: this.#name, queue: queue.name, job, ...settings });
    await started.said('ready');
    const added = job === undefined ? undefined : await queue.add('job', data, { attempts: 1 });
    if (job !== undefined) await started.said('begun');
    return { ...started, queue, job: added as Job, name: `${queue.name}/job:${added?.id}` };
  }

  /** Jobs that are still active run again, elsewhere, when their locks have expired. */
  async expectRunAgain(queue: Queue, ...jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) expect(await job.getState()).toBe('active');
    await this.#bull.worker(queue, async () => 'again', { stalledInterval: 200, lockDuration: 1_000 });
    for (const job of jobs) await until(async () => (await job.getState()) === 'completed', { timeoutMs: 20_000 });
  }
}

// The other major version is that of the other test run, as vitest.config.ts says.
const [[version, module]] = VERSIONS as [[string, BullMQ]];
const NAMES: Readonly<Record<string, string>> = { 'bullmq 5': 'bullmq-5', 'bullmq 6': 'bullmq' };
const CLEAN = { clean: true, pending: [], forcedLeases: 0 };

describe(`a worker of ${version} in a process of its own`, () => {
  const matrix = new Matrix(module, NAMES[version] ?? '');

  it('ends on SIGTERM when it is idle', async () => {
    const { signal, said, ended } = await matrix.start();
    signal('SIGTERM');
    expect([await ended(), await said('report')]).toEqual([0, CLEAN]);
    await expectNoConnections();
  });

  it('ends on SIGTERM when its job has ended', async () => {
    const { signal, said, ended, job, queue } = await matrix.start('slow');
    const next = await queue.add('next', {});
    signal('SIGTERM');
    expect([await ended(), await said('report')]).toEqual([0, CLEAN]);
    expect([await job.getState(), await next.getState()]).toEqual(['completed', 'waiting']);
    await expectNoConnections();
  });

  it('ends a job that ignores its signal, which runs again', async () => {
    const { signal, said, ended, job, queue, name } = await matrix.start('stubborn', { graceMs: 100 });
    signal('SIGTERM');
    expect([await ended(), await said('report')]).toEqual([1, { clean: false, pending: [name], forcedLeases: 1 }]);
    await expectNoConnections();
    await matrix.expectRunAgain(queue, job);
  });

  it.each([true, false])('ends when Redis was down before (exit: %s), and does not come back with it', async (exit) => {
    const { signal, said, ended } = await matrix.start(undefined, { exit });
    await redis().server.kill('SIGKILL');
    await said('lost');
    signal('SIGTERM');
    // Nothing ran, but what BullMQ had on its way nobody knows.
    expect([await ended(), await said('report')]).toEqual([exit ? 1 : 0, { clean: false, pending: [], forcedLeases: 0 }]);
    await up();
    await expectNoConnections();
  });

  it('ends when Redis goes down meanwhile, and the job, whose end nobody could be told, runs again', async () => {
    const { signal, said, ended, job, queue, name } = await matrix.start('long', { graceMs: 2_500 });
    signal('SIGTERM');
    await redis().server.kill('SIGKILL');
    expect([await ended(), await said('report')]).toEqual([1, { clean: false, pending: [name], forcedLeases: 0 }]);
    await up();
    await expectNoConnections();
    await matrix.expectRunAgain(queue, job);
  });

  it('stays away when Redis goes down after, and comes back', async () => {
    const { signal, said, ended, job } = await matrix.start('slow', { exit: false });
    signal('SIGTERM');
    expect(await said('report')).toEqual(CLEAN);
    await redis().server.kill('SIGKILL');
    await up();
    // It ends by itself: nothing keeps it alive.
    expect(await ended()).toBe(0);
    expect(await job.getState()).toBe('completed');
    await expectNoConnections();
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends at once on a second signal, %s, and its job runs again', async (second, code) => {
    const { signal, ended, job, queue, program } = await matrix.start('stubborn', { graceMs: 60_000 });
    signal('SIGTERM');
    // The first is being handled when the worker has parted with its blocking connection.
    await until(async () => (await redis().clients('bull:')).every(({ cmd }) => cmd !== 'bzpopmin'));
    expect(program.child.exitCode).toBe(null);
    signal(second);
    expect(await ended()).toBe(code);
    await expectNoConnections();
    await matrix.expectRunAgain(queue, job);
  });

  it('revokes a lease that a job has leaked, and ends clean', async () => {
    const { signal, said, ended, job } = await matrix.start('leaky');
    expect(await said('error')).toBe('ERR_LEASE_LEAKED');
    signal('SIGTERM');
    expect([await ended(), await said('report'), await job.getState()]).toEqual([0, CLEAN, 'completed']);
    await expectNoConnections();
  });

  it.each([
    ['nothing', 'undefined'],
    ['text', 'boom'],
  ])('fails a job that throws no error (%s), and ends clean', async (kind, thrown) => {
    const { signal, said, ended, job, queue } = await matrix.start(kind);
    signal('SIGTERM');
    expect([await ended(), await said('report'), await job.getState()]).toEqual([0, CLEAN, 'failed']);
    expect(await said('failed')).toBe('ERR_THROWN_VALUE');
    expect((await queue.getJob(String(job.id)))?.failedReason).toContain(thrown);
    await expectNoConnections();
  });

  it.each(['hangs', 'throws'])('ends with 1 when onDone %s', async (onDone) => {
    const { signal, said, ended } = await matrix.start(undefined, { onDone });
    signal('SIGTERM');
    expect([await ended(), await said('report')]).toEqual([1, CLEAN]);
    await expectNoConnections();
  });
});

describe('sandboxed children', () => {
  const matrix = new Matrix(module, NAMES[version] ?? '');
  const pids: number[] = [];
  afterEach(() => {
    for (const pid of pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });

  /** A worker that has two children with a connection each. */
  async function start(scoped: boolean) {
    const file = join(folder, `sandbox-${scoped}.mjs`);
    writeFileSync(file, sandboxFile(scoped));
    const started = await matrix.start(undefined, { file, graceMs: 100 });
    const files = [1, 2].map((n) => join(folder, `pid-${scoped}-${n}-${pids.length}`));
    const jobs = await Promise.all(files.map((path) => started.queue.add('job', { path })));
    for (const path of files) pids.push(await until(() => Number(readFileSync(path, 'utf8')), { timeoutMs: 20_000 }));
    await until(async () => (await redis().clients('child')).length === 2 || (await redis().clients('sp:s:p')).length === 2);
    return { ...started, jobs };
  }

  it('end with a parent that is killed when they are scoped, with their connections', async () => {
    const { signal, ended, queue, jobs } = await start(true);
    signal('SIGKILL');
    expect(await ended()).toBe('SIGKILL');
    await until(() => !pids.some(isAlive), { timeoutMs: 10_000 });
    await expectNoConnections();
    await matrix.expectRunAgain(queue, ...jobs);
  });

  it('live on without a scope, connections and all', async () => {
    const { signal, ended } = await start(false);
    signal('SIGKILL');
    expect(await ended()).toBe('SIGKILL');
    await until(async () => (await redis().clients('bull:')).length === 0);
    expect([pids.filter(isAlive).length, (await redis().clients('child')).length]).toEqual([2, 2]);
  });

  it('end with a parent that is asked to end, and their jobs', async () => {
    const { signal, said, ended, queue } = await start(true);
    signal('SIGTERM');
    expect([await ended(), await said('report')]).toEqual([0, CLEAN]);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(await queue.getJobCounts('active', 'failed')).toEqual({ active: 0, failed: 2 });
    await expectNoConnections();
  });
});

/** A job holds a connection for ever, unless its scope is cancelled. */
function sandboxFile(scoped: boolean): string {
  const begin = `import { writeFileSync } from 'node:fs';
    import { Redis } from 'ioredis';
    import { scopeSandbox } from './integrations/bullmq/index.js';
    import { currentScope } from './index.js';
    import { defineRedisPool } from './redis/index.js';
    const url = '${redis().url}';`;
  if (scoped)
    return `${begin}
    const pool = defineRedisPool('p', { url, service: 's', max: 5 });
    export default scopeSandbox((job) => pool.use(async () => {
      writeFileSync(job.data.path, String(process.pid));
      const { signal } = currentScope();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cancelled'))));
    }));`;
  return `${begin}
    export default async (job) => {
      const client = new Redis(url, { connectionName: 'child' });
      await client.ping();
      writeFileSync(job.data.path, String(process.pid));
      await new Promise(() => {});
    };`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // What has ended may still stand in the table of processes, where nobody asks for the exit code of an orphan.
  return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}
