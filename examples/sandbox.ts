// A worker whose jobs run in processes of their own, because they keep a core busy. Their scope is in sandbox-processor.ts.
import { Queue, Worker } from 'bullmq';
import type { Done } from './sandbox-processor.ts';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const PROCESSOR = new URL('./sandbox-processor.ts', import.meta.url);

/** Runs `count` jobs. @returns by child process, how many connections it has opened. */
export async function main(count = 30, processor = PROCESSOR): Promise<ReadonlyMap<number, number>> {
  const queue = new Queue('example-thumbnails', { connection: { url } });
  // Nothing to wrap here: no scope of this process reaches the others.
  const worker = new Worker<unknown, Done>('example-thumbnails', processor, { connection: { url }, concurrency: 3 });
  const opened = new Map<number, number>();
  let left = count;
  const done = new Promise<void>((resolve, reject) => {
    worker.on('completed', (_job, { child, created }) => {
      opened.set(child, created);
      if (--left === 0) resolve();
    });
    worker.on('failed', (_job, error) => reject(error));
  });
  await queue.addBulk(Array.from({ length: count }, () => ({ name: 'resize', data: { thumbnails: 20 } })));
  await done;
  await worker.close(); // ends the children, and with them their connections
  await queue.obliterate();
  await queue.close();
  return opened;
}

if (process.argv[1] === import.meta.filename) {
  for (const [child, created] of await main()) console.log(`process ${child} opened ${created} connections`);
}
