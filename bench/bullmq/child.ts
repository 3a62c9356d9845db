// A process of its own: on Node 20 an AsyncLocalStorage cannot be switched off again.
import { AsyncLocalStorage } from 'node:async_hooks';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Subject } from './subjects.ts';

/** What a child is begun with. */
export interface Assignment {
  readonly subject: Subject;
  readonly url: string;
  readonly queue: string;
  readonly concurrency: number;
}

/** Says that it counts, then what it took. */
export type Report = 'ready' | 'counting' | Cost;

/** What it took to empty the queue. */
export interface Cost {
  readonly cpuUsPerJob: number;
  readonly jobsPerSecond: number;
}

const { subject, url, queue, concurrency } = JSON.parse(process.argv[2] ?? '') as Assignment;
const { wrap, commands = 0 } = subject;
const { hostname: host, port } = new URL(url);
const VALUE = 'x'.repeat(64);

type Set = () => Promise<unknown>;

async function main(): Promise<void> {
  process.once('disconnect', () => process.exit());
  if (subject.hasStorage) new AsyncLocalStorage().run({}, () => {});
  const set = commands > 0 ? await connect() : async () => {};
  // One for all rounds, as a worker in production runs for months.
  const worker = new Worker(queue, processorOf(set), { connection: { host, port: Number(port) }, concurrency, autorun: false });
  if (wrap) (await import('../../src/integrations/bullmq/index.ts')).scopeWorker(worker, wrap);
  await worker.waitUntilReady();
  void worker.run();
  process.on('message', async (jobs: number) => tell(await measure(worker, jobs)));
  tell('ready');
}

function tell(report: Report): void {
  process.send?.(report);
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

/**
 * No collection is forced before it: one in a worker that idles takes the hidden classes of all that jobs are made of, and
 * what V8 then compiles anew is most of what is measured.
 */
async function measure(worker: Worker, jobs: number): Promise<Cost> {
  const completed = whenCompleted(worker, jobs);
  const begun = performance.now();
  const before = process.cpuUsage();
  tell('counting');
  await completed;
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - begun;
  return { cpuUsPerJob: (user + system) / jobs, jobsPerSecond: (jobs * 1_000) / ms };
}

function whenCompleted(worker: Worker, jobs: number): Promise<void> {
  let left = jobs;
  return new Promise((resolve, reject) => {
    const onCompleted = () => {
      left--;
      if (left > 0) return;
      worker.removeAllListeners();
      resolve();
    };
    worker.on('completed', onCompleted);
    worker.on('failed', (_, error) => reject(error));
    worker.on('error', reject);
  });
}

await main();
