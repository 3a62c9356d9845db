// A BullMQ worker whose jobs open at most 5 connections between them, for as long as the worker lives.
import { Queue, Worker } from 'bullmq';
import type { PoolStats } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });

/** Sends `count` mails. @returns what the pool of the worker did. */
export async function main(count = 50): Promise<PoolStats> {
  const queue = new Queue('example-mails', { connection: { url } });
  const worker = scopeWorker(
    new Worker(
      'example-mails',
      async (job) => {
        await redis.incr('example:sent');
        await redis.use(async (connection) => {
          await connection.multi().decr('example:quota').rpush('example:log', `${job.id}`).exec();
        });
      },
      { connection: { url }, concurrency: 5 },
    ),
    { limits: { redis: 5 } },
  );
  let left = count;
  const sent = new Promise<void>((resolve, reject) => {
    worker.on('completed', () => --left === 0 && resolve());
    worker.on('failed', (_job, error) => reject(error));
  });
  await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: 'mail', data: { n } })));
  await sent;
  const stats = scopeOf(worker).run(() => redis.stats());
  await worker.close();
  await queue.obliterate();
  await queue.close();
  return stats;
}

if (process.argv[1] === import.meta.filename) {
  const { acquired, created, max } = await main();
  console.log(`${acquired} leases over ${created} connections (at most ${max}), all of them closed`);
}
