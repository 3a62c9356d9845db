// From a log to a queue: each entry of a Redis stream becomes one job, however often the program is killed and begun again.
import { Queue } from 'bullmq';
import { resume, withRoot } from 'scoped-pool';
import { defineRedisPool, redisStream } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url });

/** Adds a job for each entry, until `count` of them are in the queue. @returns how many entries were read for that. */
export async function forward(count: number, queue: Queue): Promise<number> {
  let read = 0;
  await withRoot(async () => {
    const stored = (await redis.get('example:clicks:done')) ?? undefined;
    const clicks = resume(redisStream(redis, 'example:clicks', { count: 10 }), stored);
    for await (const { id, fields } of clicks) {
      // The id of the entry is that of the job: an entry that is read again adds no second one.
      await queue.add('click', fields, { jobId: id });
      // Now and then is enough: what is behind the checkpoint is read again.
      if (++read % 10 === 0) await redis.set('example:clicks:done', clicks.checkpoint ?? id);
      if ((await queue.count()) === count) break;
    }
  });
  return read;
}

/** Stops in the middle, goes on behind the checkpoint. @returns how many entries were read, and how many jobs there are. */
export async function main(count = 45): Promise<{ read: number; jobs: number }> {
  const queue = new Queue('example-clicks', { connection: { url } });
  await withRoot(async () => {
    for (let n = 0; n < count; n++) await redis.xadd('example:clicks', '*', 'page', `/${n}`);
  });
  const first = await forward(Math.ceil(count / 2), queue);
  const second = await forward(count, queue);
  const jobs = await queue.count();
  await queue.obliterate();
  await queue.close();
  await withRoot(() => redis.del('example:clicks', 'example:clicks:done'));
  return { read: first + second, jobs };
}

if (process.argv[1] === import.meta.filename) {
  const { read, jobs } = await main();
  console.log(`${read} entries were read, some of them twice, and ${jobs} jobs added, each once`);
}
