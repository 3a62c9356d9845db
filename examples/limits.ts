// Two workers in one process use the same pool, each with connections of its own and a limit of its own.
import { Queue, Worker } from 'bullmq';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const connection = { url };
const redis = defineRedisPool('redis', { url, max: 10 });

/** Runs one job with 100 concurrent exclusive leases. @returns how many connections that opened. */
async function connectionsOpened(name: string, max: number): Promise<number> {
  const queue = new Queue(name, { connection });
  const worker = scopeWorker(
    new Worker(name, () => Promise.all(Array.from({ length: 100 }, () => redis.use((client) => client.incr('example:n')))), { connection }),
    { limits: { redis: max } },
  );
  const done = new Promise<unknown>((resolve, reject) => worker.once('completed', resolve).once('failed', (_job, error) => reject(error)));
  await queue.add('count', {});
  await done;
  const { created } = scopeOf(worker).run(() => redis.stats());
  await worker.close();
  await queue.obliterate();
  await queue.close();
  return created;
}

export async function main(): Promise<readonly number[]> {
  return Promise.all([connectionsOpened('example-small', 2), connectionsOpened('example-large', 7)]);
}

if (process.argv[1] === import.meta.filename) console.log(`connections opened: ${(await main()).join(' and ')}`);
