import * as newest from 'bullmq';
import * as five from 'bullmq-5';
import { currentScope, type Scope } from 'scoped-pool';
import { defineRedisPool, type RedisPool, type RedisPoolOptions } from 'scoped-pool/redis';
import { afterEach } from 'vitest';
import type { TestRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

export type BullMQ = typeof newest;
export type Processor = newest.Processor;
export type Worker = newest.Worker;
export type Queue = newest.Queue;
export type Job = newest.Job;

type Version = readonly [name: string, module: BullMQ];

// The few types that differ are not used here.
const FIVE: Version = ['bullmq 5', five as unknown as BullMQ];

/** The newest, with the newest ioredis; in the run that has put 5 in the place of both, 5. */
export const VERSIONS: readonly Version[] = [(newest.Worker as unknown) === five.Worker ? FIVE : ['bullmq 6', newest]];

/** The newest and 5, whichever ioredis the run has. */
export const BOTH_VERSIONS: readonly Version[] = [...VERSIONS.filter((version) => version !== FIVE), FIVE];

/** What became of the jobs of a worker. */
export interface Outcomes {
  readonly completed: Map<string, unknown>;
  /** The errors that the `failed` event brought, one per attempt. */
  readonly failed: Map<string, unknown[]>;
}

let queues = 0;

/** Makes queues and workers on one server, and closes after each test what it left open. */
export class Bull {
  readonly #module: BullMQ;
  readonly #redis: () => TestRedis;
  readonly #open: { close(force?: boolean): Promise<void> }[] = [];

  constructor(module: BullMQ, redis: () => TestRedis) {
    this.#module = module;
    this.#redis = redis;
    afterEach(async () => {
      for (const opened of this.#open.splice(0).reverse()) await opened.close(true);
    });
  }

  get module(): BullMQ {
    return this.#module;
  }

  get connection(): { host: string; port: number } {
    const { host, port } = this.#redis().server;
    return { host, port };
  }

  async queue(name = `queue-${++queues}`): Promise<Queue> {
    const queue = new this.#module.Queue(name, { connection: this.connection });
    queue.on('error', () => {});
    this.#open.push(queue);
    await queue.waitUntilReady();
    return queue;
  }

  /** A worker that is ready, and not wrapped. */
  async worker(queue: Queue, processor: Processor, options: Partial<newest.WorkerOptions> = {}): Promise<Worker> {
    const worker = this.keep(new this.#module.Worker(queue.name, processor, { connection: this.connection, ...options }));
    await worker.waitUntilReady();
    return worker;
  }

  /** Has a worker that the test has made closed at its end. */
  keep(worker: Worker): Worker {
    // A connection that is closed while a command runs says so here; what a test is about, it listens for itself.
    worker.on('error', () => {});
    this.#open.push(worker);
    return worker;
  }

  /** A pool on the same server; equal options give the same pool. */
  pool(name = 'redis', options: RedisPoolOptions = {}): RedisPool {
    return defineRedisPool(name, { url: this.#redis().url, service: 'test', acquireTimeoutMs: 60_000, ...options });
  }

  /** How many connections of our pools the server has now. */
  async ours(): Promise<number> {
    return (await this.#redis().clients('sp:')).length;
  }
}

export function outcomesOf(worker: Worker): Outcomes {
  const completed = new Map<string, unknown>();
  const failed = new Map<string, unknown[]>();
  worker.on('completed', (job, result) => completed.set(String(job.id), result));
  worker.on('failed', (job, error) => failed.set(String(job?.id), [...(failed.get(String(job?.id)) ?? []), error]));
  return { completed, failed };
}

/** Waits until so many jobs have come to an end of either kind. */
export async function settled({ completed, failed }: Outcomes, count: number): Promise<void> {
  await until(() => completed.size + failed.size >= count, { timeoutMs: 20_000 });
}

/** The scope of the worker that this code runs for. */
export function workerScope(): Scope {
  return currentScope().root;
}

/** A door that opens once. */
export class Gate {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}
