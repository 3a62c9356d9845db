// The processor file of sandbox.ts. It runs in processes that BullMQ starts, each with a scope and connections of its own.
import type { SandboxedJob } from 'bullmq';
import { scopeSandbox } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const redis = defineRedisPool('redis', { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', max: 10 });

/** What a job returns goes to the process of the worker as JSON. */
export interface Done {
  readonly child: number;
  /** How many connections the child has opened so far. */
  readonly created: number;
}

export default scopeSandbox(
  async (job: SandboxedJob<{ readonly thumbnails: number }>): Promise<Done> => {
    const { thumbnails } = job.data;
    await Promise.all(Array.from({ length: thumbnails }, () => redis.use((connection) => connection.incr('example:thumbnails'))));
    return { child: process.pid, created: redis.stats().created };
  },
  { limits: { redis: 2 } }, // of each child: at most concurrency × 2 for the worker
);
