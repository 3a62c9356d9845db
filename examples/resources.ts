// A program that owns a queue, a worker and an HTTP server: started in order, stopped in reverse order.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Queue, Worker } from 'bullmq';
import { withRoot } from 'scoped-pool';
import { scopeWorker } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const connection = { url };
const redis = defineRedisPool('redis', { url, max: 10 });

/** Runs until `stop` aborts. @param log Told what happens. */
export async function main(stop: AbortSignal, log: (event: string) => void = console.log): Promise<void> {
  await withRoot(
    async (scope) => {
      const queue = await scope.open(
        () => new Queue('example-visits', { connection }),
        async (opened) => {
          await opened.close();
          log('queue stopped');
        },
        { name: 'queue' },
      );
      await scope.open(
        // Its jobs run below it, and share the connections of the whole program.
        (below) => scopeWorker(new Worker('example-visits', () => redis.incr('example:visits'), { connection }), { scope: below }),
        async (worker) => {
          await worker.close();
          log(`worker stopped after ${(await redis.get('example:visits')) ?? 0} visits`);
        },
        { name: 'worker', timeoutMs: 20_000 },
      );
      await scope.open(
        async () => {
          const server = createServer(async (_request, response) => response.end((await queue.add('visit', {})).id)).listen(0, '127.0.0.1');
          await once(server, 'listening');
          return server;
        },
        async (server) => {
          await new Promise((resolve) => server.close(resolve));
          log('server stopped');
        },
        { name: 'server' },
      );
      log('running');
      if (!stop.aborted) await once(stop, 'abort');
    },
    { name: 'main' },
  );
  log('all connections closed');
}

if (process.argv[1] === import.meta.filename) {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  await main(stop.signal);
}
