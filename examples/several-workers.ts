// Several workers in one process use the same pool. Each has connections of its own, and a limit: a number, or what a function of the worker gives.
import { Queue, Worker } from 'bullmq';
import { type BullScopeOptions, scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const connection = { url };
const redis = defineRedisPool('redis', { url, max: 10 });

interface Kind {
  readonly name: string;
  readonly concurrency: number;
  readonly limits?: BullScopeOptions['limits'];
}

const KINDS: readonly Kind[] = [
  { name: 'example-mails', concurrency: 1, limits: { redis: 3 } },
  // One for each job that runs, and one to spare.
  { name: 'example-reports', concurrency: 4, limits: ({ concurrency }) => ({ redis: concurrency + 1 }) },
  // As many as the pool says.
  { name: 'example-images', concurrency: 2 },
];

/** Runs `count` jobs, each with 20 exclusive leases at a time. @returns how many connections that opened. */
async function run({ name, concurrency, limits }: Kind, count: number): Promise<readonly [string, number]> {
  const queue = new Queue(name, { connection });
  const job = () => Promise.all(Array.from({ length: 20 }, () => redis.use((client) => client.incr(`${name}:n`))));
  const worker = scopeWorker(new Worker(name, job, { connection, concurrency }), { limits });
  let left = count;
  const done = new Promise<void>((resolve, reject) => {
    worker.on('completed', () => --left === 0 && resolve()).on('failed', (_job, error) => reject(error));
  });
  await queue.addBulk(Array.from({ length: count }, () => ({ name: 'example', data: {} })));
  await done;
  const { created } = scopeOf(worker).run(() => redis.stats());
  await worker.close();
  await queue.obliterate();
  await queue.close();
  return [name, created];
}

export async function main(count = 20): Promise<Record<string, number>> {
  return Object.fromEntries(await Promise.all(KINDS.map((kind) => run(kind, count))));
}

if (process.argv[1] === import.meta.filename) console.log('connections opened:', await main());
