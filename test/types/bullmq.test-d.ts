// Compiled by `tsc`, never run: what scopeWorker accepts and gives back, for both major versions of BullMQ.
import { type Job as Job6, Queue as Queue6, Worker as Worker6 } from 'bullmq';
import { type Job as Job5, Queue as Queue5, Worker as Worker5 } from 'bullmq-5';
import type { Scope } from 'scoped-pool';
import { scopeOf, scopeWorker } from 'scoped-pool/bullmq';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function holds<T extends true>(): T;

const connection = { host: '127.0.0.1', port: 6379 };

interface Mail {
  readonly to: string;
}

const six = scopeWorker(new Worker6<Mail, number>('mails', async (job) => job.data.to.length, { connection }), { limits: { redis: 5 } });
holds<Equal<typeof six, Worker6<Mail, number>>>();
six.on('completed', (job, result) => {
  holds<Equal<typeof job, Job6<Mail, number, string>>>();
  holds<Equal<typeof result, number>>();
});

const five = scopeWorker(new Worker5<Mail, number>('mails', async (job) => job.data.to.length, { connection }), {
  limits: { redis: { max: 5, acquireTimeoutMs: 100 } },
  onError: (error, where) => {
    holds<Equal<typeof error, unknown>>();
    holds<Equal<typeof where, string>>();
  },
  graceMs: 1_000,
});
holds<Equal<typeof five, Worker5<Mail, number>>>();
five.on('completed', (job, result) => {
  holds<Equal<typeof job, Job5<Mail, number, string>>>();
  holds<Equal<typeof result, number>>();
});

class MyWorker extends Worker6<Mail> {
  readonly mine = true;
}
const mine = scopeWorker(new MyWorker('mails', async () => {}, { connection }));
holds<Equal<typeof mine, MyWorker>>();

const scope = scopeOf(six);
holds<Equal<typeof scope, Scope>>();
scopeWorker(six, { scope });
scopeOf(five);

// @ts-expect-error a queue is no worker
scopeWorker(new Queue6('mails', { connection }));
// @ts-expect-error a queue is no worker
scopeWorker(new Queue5('mails', { connection }));
// @ts-expect-error an unknown option
scopeWorker(six, { limit: 5 });
// @ts-expect-error a limit is a number, or an object
scopeWorker(six, { limits: { redis: '5' } });
