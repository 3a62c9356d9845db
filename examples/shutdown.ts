// A worker that ends in order when the process is told to: jobs finish, connections close, then the process exits.
import { Queue, Worker } from 'bullmq';
import { type ClosingReport, handleSignals, scopeWorker } from 'scoped-pool/bullmq';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url });

/** Works until a signal comes. @returns what became of it, and of the mails that were on their way. */
export async function main(exit = false, told: (event: string) => void = () => {}): Promise<ClosingReport> {
  const queue = new Queue('example-letters', { connection: { url } });
  const worker = scopeWorker(
    new Worker(
      'example-letters',
      async (job, _token, signal) => {
        told('job begun');
        // Whoever works for long looks at the signal: it is aborted when graceMs is over.
        for (let page = 0; page < job.data.pages && !signal?.aborted; page++) {
          await redis.incr('example:pages');
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      { connection: { url } },
    ),
  );
  worker.on('completed', () => told('job completed'));
  const ended = new Promise<ClosingReport>((resolve) => {
    handleSignals(worker, {
      graceMs: 20_000,
      exit,
      onDone: async (report) => {
        // Last, what the jobs did not need: servers, queues, what watches over all that.
        await queue.close();
        resolve(report);
      },
    });
  });
  await queue.add('letter', { pages: 20 });
  return ended;
}

if (process.argv[1] === import.meta.filename) {
  console.log(`kill ${process.pid}, or Ctrl-C`);
  const { clean, pending } = await main(true, console.log);
  console.log(clean ? 'ended in order' : `left behind: ${pending.join(', ')}`);
}
