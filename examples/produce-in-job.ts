// Jobs that add jobs: queue and flow producer use the connection of their worker, and open none.
import { FlowProducer, Queue, Worker } from 'bullmq';
import { flow, producer, scopeWorker } from 'scoped-pool/bullmq';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const connection = { url };

interface Mail {
  readonly to: string;
}

/** Far below the entry point, and handed nothing. */
async function remind(to: string): Promise<void> {
  const mails = await producer(Queue<Mail>, 'example-reminders');
  await mails.add('remind', { to }, { delay: 60_000 });
}

/** Runs `count` jobs that each add a job and a flow. @returns how many jobs wait in the end. */
export async function main(count = 20): Promise<number> {
  const queue = new Queue<Mail>('example-welcomes', { connection });
  const worker = scopeWorker(
    new Worker<Mail>(
      'example-welcomes',
      async ({ data: { to } }) => {
        await remind(to);
        const flows = await flow(FlowProducer);
        const children = [{ name: 'check', queueName: 'example-reminders', data: { to } }];
        await flows.add({ name: 'report', queueName: 'example-reminders', data: { to }, children });
      },
      { connection, concurrency: 5 },
    ),
  );
  let left = count;
  const done = new Promise<void>((resolve, reject) => {
    worker.on('completed', () => --left === 0 && resolve());
    worker.on('failed', (_job, error) => reject(error));
  });
  await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: 'welcome', data: { to: `user-${n}` } })));
  await done;
  await worker.close();
  await queue.obliterate();
  await queue.close();

  const reminders = new Queue('example-reminders', { connection });
  const waiting = await reminders.count();
  await reminders.obliterate();
  await reminders.close();
  return waiting;
}

if (process.argv[1] === import.meta.filename) console.log(`${await main()} jobs were added, over no connection but the worker's`);
