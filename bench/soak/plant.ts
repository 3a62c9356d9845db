import { type EventEmitter, getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Random } from '../../dev/random.ts';
import { type DevRedis, startRedis } from '../../dev/redis-server.ts';
import { LeaseLeakedError, ScopedPoolError } from '../../src/index.ts';
import { scopeOf, scopeWorker } from '../../src/integrations/bullmq/index.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { ChoreError, leakOf, work } from './chores.ts';
import { Marks } from './marks.ts';

/** Connections that the worker's pool may have. */
export const LIMIT = 10;

const CONCURRENCY = 50;
/** Jobs are added so many at a time, as soon as fewer than twice as many wait. */
const BATCH = 100;
const QUEUE = 'soak';

/** How long jobs may take to end once no more come, in milliseconds: stalled ones are found only every few seconds. */
const SETTLED_MS = 60_000;

/** A server, a queue and a worker that is under load. */
export class Plant {
  readonly server: DevRedis;
  readonly observer: Redis;
  readonly unexplained: unknown[] = [];
  added = 0;
  cancelled = 0;
  leaked = 0;
  readonly #queue: Queue;
  readonly #worker: Worker;
  readonly #pool;
  readonly #running = new Set<string>();
  readonly #done: Marks;

  private constructor(server: DevRedis, seed: number, most: number) {
    this.server = server;
    const { host, port } = server;
    const connection = { host, port, maxRetriesPerRequest: null, retryStrategy: () => 50 };
    this.observer = new Redis({ ...connection, connectionName: 'observer' });
    this.#done = new Marks(most);
    this.#pool = defineRedisPool('soak', { url: server.url, commandTimeoutMs: 1_000, connectTimeoutMs: 1_000, acquireTimeoutMs: 2_000 });
    this.#queue = new Queue(QUEUE, { connection });
    const leak = leakOf(process.env.SOAK_LEAK);
    const processor = (job: Job<number>) => {
      leak(scopeOf(this.#worker), job);
      return this.#process(job, seed);
    };
    // A job whose end did not reach the server is stalled: found soon, and as often as it takes.
    const recovery = { lockDuration: 5_000, stalledInterval: 2_000, maxStalledCount: 1_000 };
    this.#worker = scopeWorker(new Worker(QUEUE, processor, { connection, concurrency: CONCURRENCY, ...recovery }), {
      limits: { soak: LIMIT },
      onError: this.#tell,
    });
    // They say that the server is gone, which we know.
    const emitters: EventEmitter[] = [this.observer, this.#queue, this.#worker];
    for (const emitter of emitters) emitter.on('error', () => {});
  }

  static async start(seed: number, most: number): Promise<Plant> {
    const plant = new Plant(await startRedis({ fresh: true, appendOnly: true, args: ['--appendfsync', 'no'] }), seed, most);
    await plant.#worker.waitUntilReady();
    return plant;
  }

  /** How many jobs were begun at least once. */
  get begun(): number {
    return this.#done.count;
  }

  /** Connections that the pool has open, being made and being closed included. */
  get open(): number {
    return scopeOf(this.#worker).run(() => this.#pool.stats().open);
  }

  /** What is open below the scope of the worker, where each job has its own while it runs. */
  get scopesLeft(): number {
    return scopeOf(this.#worker).tree().children.length;
  }

  /** Adds jobs, and does not let them run out, until so many are there or the signal aborts. */
  async feed(most: number, signal?: AbortSignal): Promise<void> {
    while (this.added < most && !signal?.aborted) {
      if (this.added - this.begun < 2 * BATCH) await this.#add(Math.min(BATCH, most - this.added));
      else await sleep(2);
    }
  }

  /** Cancels one of the jobs that run, whichever chance names. */
  cancelOne(random: Random): void {
    if (this.#running.size === 0) return;
    if (this.#worker.cancelJob(random.pick([...this.#running]), 'chance')) this.cancelled++;
  }

  async restart(random: Random): Promise<void> {
    await this.server.kill('SIGKILL');
    await sleep(random.between(0, 300));
    await this.server.restart();
  }

  /** How many jobs have not ended when all must have. */
  async settled(): Promise<number> {
    const end = performance.now() + SETTLED_MS;
    for (;;) {
      const left = Object.values(await this.#queue.getJobCounts()).reduce((sum, count) => sum + count, 0);
      if (left === 0 || performance.now() > end) return left;
      await sleep(20);
    }
  }

  /** Listeners of the worker, of its clients, of the signal of its scope and of the process. */
  async listeners(): Promise<number> {
    const backend = this.#worker.getBackend() as unknown as Record<'client' | 'blockingClient', Promise<EventEmitter>>;
    const emitters: EventEmitter[] = [this.#worker, process, await backend.client, await backend.blockingClient];
    const counts = emitters.map((emitter) => emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0));
    return counts.reduce((sum, count) => sum + count) + getEventListeners(scopeOf(this.#worker).signal, 'abort').length;
  }

  /** Closes the worker, its scope and the queue. @returns how many connections the server still has, but for ours to look at it. */
  async close(): Promise<number> {
    await this.#worker.close();
    await this.#queue.close();
    for (let tries = 50; ; tries--) {
      const left =
        String(await this.observer.client('LIST'))
          .trim()
          .split('\n').length - 1;
      if (left === 0 || tries === 0) return left;
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    this.observer.disconnect();
    await this.server.stop();
  }

  /** What cannot be thrown: leaks, and what failed in a job beside its first failure. */
  readonly #tell = (error: unknown): void => {
    if (error instanceof LeaseLeakedError) this.leaked++;
    else if (!(error instanceof ScopedPoolError) && !(error instanceof ChoreError)) this.unexplained.push(error);
  };

  /** Again and again with the same ids, so that one that was added though nobody was told is not added twice. */
  async #add(count: number): Promise<void> {
    const opts = { attempts: 2, backoff: { type: 'fixed', delay: 20 }, removeOnComplete: true, removeOnFail: true };
    const jobs = Array.from({ length: count }, (_, place) => {
      const data = this.added + place;
      return { name: 'job', data, opts: { ...opts, jobId: `j${data}` } };
    });
    while (!(await this.#queue.addBulk(jobs).catch(() => undefined))) await sleep(20);
    this.added += count;
  }

  async #process({ id = '', data }: Job<number>, seed: number): Promise<void> {
    this.#running.add(id);
    try {
      await work(this.#pool, seed, data);
    } finally {
      this.#running.delete(id);
      this.#done.add(data);
    }
  }
}
