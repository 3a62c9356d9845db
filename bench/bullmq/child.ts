// A process of its own: on Node 20 an AsyncLocalStorage cannot be switched off again.
import { AsyncLocalStorage } from 'node:async_hooks';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Subject } from './subjects.ts';

/** What a child is begun with. */
export interface Assignment {
  readonly subject: Subject;
  readonly url: string;
  readonly concurrency: number;
}

/** A queue that is full of jobs. */
export interface Task {
  readonly queue: string;
  readonly jobs: number;
}

/** What it took to empty it. */
export interface Cost {
  readonly cpuUsPerJob: number;
  readonly jobsPerSecond: number;
}

const { subject, url, concurrency } = JSON.parse(process.argv[2] ?? '') as Assignment;
const { wrap, commands = 0 } = subject;
const { hostname: host, port } = new URL(url);
const VALUE = 'x'.repeat(64);

type Set = () => Promise<unknown>;

async function main(): Promise<void> {
  if (subject.hasStorage) new AsyncLocalStorage().run({}, () => {});
  const set = commands > 0 ? await connect() : async () => {};
  const processor = processorOf(set);
  process.on('message', async (task: Task) => process.send?.(await measure(processor, task)));
  process.send?.('ready');
}

async function connect(): Promise<Set> {
  if (!wrap) {
    const client = new Redis(url);
    await client.ping();
    return () => client.set('bench', VALUE);
  }
  const { defineRedisPool } = await import('../../src/redis/index.ts');
  const pool = defineRedisPool('bench', { url });
  return () => pool.set('bench', VALUE);
}

function processorOf(set: Set) {
  const processor = async () => {
    for (let sent = 0; sent < commands; sent++) await set();
  };
  // BullMQ decides by the number of parameters.
  if (subject.takesSignal) Object.defineProperty(processor, 'length', { value: 3 });
  return processor;
}

async function measure(processor: () => Promise<void>, { queue, jobs }: Task): Promise<Cost> {
  const worker = new Worker(queue, processor, { connection: { host, port: Number(port) }, concurrency, autorun: false });
  if (wrap) (await import('../../src/integrations/bullmq/index.ts')).scopeWorker(worker, wrap);
  await worker.waitUntilReady();
  const completed = whenCompleted(worker, jobs);
  globalThis.gc?.();
  const begun = performance.now();
  const before = process.cpuUsage();
  const stopped = worker.run();
  await completed;
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - begun;
  await worker.close();
  await stopped;
  return { cpuUsPerJob: (user + system) / jobs, jobsPerSecond: (jobs * 1_000) / ms };
}

function whenCompleted(worker: Worker, jobs: number): Promise<void> {
  let left = jobs;
  return new Promise((resolve, reject) => {
    worker.on('completed', () => {
      left--;
      if (left === 0) resolve();
    });
    worker.on('failed', (_, error) => reject(error));
    worker.on('error', reject);
  });
}

await main();
