// Compiled by `tsc`, never run: what scoped-pool/bullmq accepts and gives back, for both major versions of BullMQ.
import { FlowProducer as Flow6, type Job as Job6, type Processor as Processor6, Queue as Queue6, Worker as Worker6 } from 'bullmq';
import { FlowProducer as Flow5, type Job as Job5, type Processor as Processor5, Queue as Queue5, Worker as Worker5 } from 'bullmq-5';
import type { Scope } from 'scoped-pool';
import {
  type ClosingReport,
  flow,
  handleSignals,
  type ProducerOptions,
  producer,
  scoped,
  scopeOf,
  scopeSandbox,
  scopeWorker,
  shutdown,
  withScopes,
} from 'scoped-pool/bullmq';

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

// scoped: where a worker is made, it knows the job by the worker; elsewhere the job is named.
const scoped6 = new Worker6<Mail, number>(
  'mails',
  scoped(async (job, token, signal) => {
    holds<Equal<typeof job, Job6<Mail, number, string>>>();
    holds<Equal<typeof token, string | undefined>>();
    holds<Equal<typeof signal, AbortSignal | undefined>>();
    return job.data.to.length;
  }),
  { connection },
);
holds<Equal<typeof scoped6, Worker6<Mail, number>>>();
const scoped5 = new Worker5<Mail, number>(
  'mails',
  scoped(
    async (job) => {
      holds<Equal<typeof job, Job5<Mail, number, string>>>();
      return job.data.to.length;
    },
    { limits: ({ concurrency }) => ({ redis: concurrency }), abortable: true, detach: false, onLeakedLease: 'fail', scope },
  ),
  { connection },
);
holds<Equal<typeof scoped5, Worker5<Mail, number>>>();
const named6 = scoped(async (job: Job6<Mail>) => job.data.to.length);
holds<Equal<typeof named6, (job: Job6<Mail>) => Promise<number>>>();
new Worker6<Mail, number>('mails', named6, { connection });
const named5 = scoped(async (job: Job5<Mail>) => job.data.to.length);
new Worker5<Mail, number>('mails', named5, { connection });
const processor6 = scoped<Processor6<Mail, number>>(async (job) => job.data.to.length);
holds<Equal<typeof processor6, Processor6<Mail, number>>>();
const processor5: Processor5<Mail, number> = scoped(async (job) => job.data.to.length);
new Worker5<Mail, number>('mails', processor5, { connection });

new Worker6<Mail, number>(
  'mails',
  // @ts-expect-error the result is a number
  scoped(async (job) => job.data.to),
  { connection },
);
new Worker5<Mail, number>(
  'mails',
  // @ts-expect-error the result is a number
  scoped(async (job) => job.data.to),
  { connection },
);
// @ts-expect-error the job has other data
new Worker6<{ from: string }, number>('mails', named6, { connection });
// @ts-expect-error the job has other data
new Worker5<{ from: string }, number>('mails', named5, { connection });
// @ts-expect-error a file is no function
scoped('processor.js');
// @ts-expect-error an unknown option
scoped(async () => {}, { limit: 5 });
// @ts-expect-error one of three words
scoped(async () => {}, { onLeakedLease: 'throw' });

// withScopes: the class as it was, type parameters and statics, too.
const With6 = withScopes(Worker6, { limits: { redis: 5 } });
holds<Equal<typeof With6, typeof Worker6>>();
const with6 = new With6<Mail, number>('mails', async (job) => job.data.to.length, { connection });
holds<Equal<typeof with6, Worker6<Mail, number>>>();
With6.RateLimitError().message.length;
const With5 = withScopes(Worker5, (queueName) => {
  holds<Equal<typeof queueName, string>>();
  return { limits: { [queueName]: 1 } };
});
holds<Equal<typeof With5, typeof Worker5>>();
const with5 = new With5<Mail, number>('mails', async (job) => job.data.to.length, { connection });
holds<Equal<typeof with5, Worker5<Mail, number>>>();
class Mailer6 extends With6<Mail, number> {
  readonly mine = true;
}
new Mailer6(
  'mails',
  scoped(async (job) => job.data.to.length),
  { connection },
).mine satisfies boolean;
class Mailer5 extends withScopes(Worker5)<Mail, number> {
  readonly mine = true;
}
new Mailer5('mails', async (job) => job.data.to.length, { connection }).mine satisfies boolean;
const WithMine = withScopes(MyWorker);
holds<Equal<typeof WithMine, typeof MyWorker>>();
scopeOf(new WithMine('mails', async () => {}, { connection })).name satisfies string;

// @ts-expect-error the result is a number
new With6<Mail, number>('mails', async (job) => job.data.to, { connection });
// @ts-expect-error the result is a number
new Mailer5('mails', async (job) => job.data.to, { connection });
// @ts-expect-error a queue is no worker
withScopes(Queue6);
// @ts-expect-error a queue is no worker
withScopes(Queue5);
// @ts-expect-error a worker is no class of workers
withScopes(six);
// @ts-expect-error an unknown option
withScopes(Worker6, { limit: 5 });
// @ts-expect-error the function gives options
withScopes(Worker6, () => 5);

// scopeSandbox: as scoped, in a process that has no worker and no other scope.
const sandbox6 = scopeSandbox(async (job: Job6<Mail>) => job.data.to.length, { limits: { redis: 1 }, graceMs: 1_000 });
holds<Equal<typeof sandbox6, (job: Job6<Mail>) => Promise<number>>>();
const sandbox5 = scopeSandbox(async (job: Job5<Mail>, _token?: string, signal?: AbortSignal) => signal?.aborted ?? job.data.to.length);
holds<Equal<typeof sandbox5, (job: Job5<Mail>, _token?: string, signal?: AbortSignal) => Promise<number | boolean>>>();
// @ts-expect-error a child shares its pools with nobody
scopeSandbox(async () => {}, { scope });
// @ts-expect-error BullMQ always gives it a signal
scopeSandbox(async () => {}, { abortable: true });
// @ts-expect-error a worker is no function
scopeSandbox(six);

// producer: the queue of the class that is given.
const mails6 = await producer(Queue6<Mail>, 'mails');
holds<Equal<typeof mails6, Queue6<Mail>>>();
const mails5 = await producer(Queue5<Mail>, 'mails');
holds<Equal<typeof mails5, Queue5<Mail>>>();
const words6 = await producer(Queue6<Mail, number, 'send' | 'drop'>, 'mails', {
  prefix: 'own',
  defaultJobOptions: { attempts: 3 },
  connection,
});
holds<Equal<typeof words6, Queue6<Mail, number, 'send' | 'drop'>>>();
const words5 = await producer(Queue5<Mail, number, 'send' | 'drop'>, 'mails', { streams: { events: { maxLen: 10 } }, connection });
holds<Equal<typeof words5, Queue5<Mail, number, 'send' | 'drop'>>>();
const any5 = await producer(Queue5, 'mails', { prefix: 'own' });
holds<Equal<typeof any5, Queue5>>();
// The constructors of 6 are overloaded: what is not said of the class is `any`.
const any6 = await producer(Queue6, 'mails', { prefix: 'own' });
any6 satisfies Queue6;
six as unknown as Queue6 satisfies typeof any6;
holds<Equal<Awaited<ReturnType<typeof any6.add>>['data'], Job6['data']>>();
class Mails6 extends Queue6<Mail> {
  readonly mine = true;
}
const own6 = await producer(Mails6, 'mails');
holds<Equal<typeof own6, Mails6>>();
class Mails5 extends Queue5<Mail> {
  readonly mine = true;
}
const own5 = await producer(Mails5, 'mails');
holds<Equal<typeof own5, Mails5>>();
const options6: ProducerOptions<Queue6<Mail>> = { prefix: 'own' };
producer(Queue6<Mail>, 'mails', options6);
const options5: ProducerOptions<Queue5<Mail>> = { prefix: 'own' };
producer(Queue5<Mail>, 'mails', options5);
mails6.add('send', { to: 'me' });
mails5.add('send', { to: 'me' });

// @ts-expect-error other data
mails6.add('send', { from: 'me' });
// @ts-expect-error other data
mails5.add('send', { from: 'me' });
// @ts-expect-error another name
words6.add('keep', { to: 'me' });
// @ts-expect-error another name
words5.add('keep', { to: 'me' });
// @ts-expect-error a queue has a name
producer(Queue6);
// @ts-expect-error a queue has a name
producer(Queue5);
// @ts-expect-error a worker is no queue
producer(Worker6, 'mails');
// @ts-expect-error a worker is no queue
producer(Worker5, 'mails');
// @ts-expect-error a flow producer is no queue
producer(Flow6, 'mails');
// @ts-expect-error a flow producer is no queue
producer(Flow5, 'mails');
// @ts-expect-error a queue is no class
producer(mails6, 'mails');
// @ts-expect-error a queue is no class
producer(mails5, 'mails');
// @ts-expect-error an unknown option
producer(Queue6, 'mails', { prefixed: 'own' });
// @ts-expect-error an unknown option
producer(Queue6<Mail>, 'mails', { prefixed: 'own' });
// @ts-expect-error an unknown option
producer(Queue5, 'mails', { prefixed: 'own' });
// @ts-expect-error a prefix is a text
producer(Queue6, 'mails', { prefix: 5 });
// @ts-expect-error a prefix is a text
producer(Queue5, 'mails', { prefix: 5 });

// flow: as producer, without a name.
const flow6 = await flow(Flow6, { prefix: 'own', connection });
flow6 satisfies Flow6;
flow6.add({ name: 'parent', queueName: 'mails', children: [{ name: 'child', queueName: 'mails' }] });
const flow5 = await flow(Flow5, { prefix: 'own', connection });
holds<Equal<typeof flow5, Flow5>>();
class MyFlow extends Flow6 {
  readonly mine = true;
}
const myFlow = await flow(MyFlow);
holds<Equal<typeof myFlow, MyFlow>>();

// @ts-expect-error a job has the name of a queue
flow6.add({ name: 'parent' });
// @ts-expect-error a queue is no flow producer
flow(Queue6);
// @ts-expect-error a queue is no flow producer
flow(Queue5);
// @ts-expect-error a worker is no flow producer
flow(Worker6);
// @ts-expect-error a worker is no flow producer
flow(Worker5);
// @ts-expect-error an unknown option
flow(Flow6, { prefixed: 'own' });
// @ts-expect-error an unknown option
flow(Flow5, { prefixed: 'own' });
// ---- shutdown and handleSignals

const report = await shutdown([six, five, mine], { graceMs: 1_000, cancelMs: 100, force: false });
holds<Equal<typeof report, ClosingReport>>();
holds<Equal<ClosingReport, { readonly clean: boolean; readonly pending: readonly string[]; readonly forcedLeases: number }>>();
void shutdown(six);
void shutdown(five);
void shutdown(new Worker6<Mail>('mails', '/processor.js', { connection }));
void shutdown(new Worker5<Mail>('mails', '/processor.js', { connection }) as Worker5<Mail> | Worker6<Mail>);

const handlers = handleSignals([six, five] as const, {
  signals: ['SIGTERM', 'SIGHUP'],
  onDone: async (result) => holds<Equal<typeof result, ClosingReport>>(),
  exit: false,
});
holds<Equal<typeof handlers, Disposable>>();
handleSignals(mine)[Symbol.dispose]();

// @ts-expect-error a queue is no worker
void shutdown(new Queue6('mails', { connection }));
// @ts-expect-error a queue is no worker
void shutdown([new Queue5('mails', { connection })]);
// @ts-expect-error an unknown option
void shutdown(six, { timeoutMs: 5 });
// @ts-expect-error no such signal
handleSignals(six, { signals: ['SIGSTOPP'] });
// @ts-expect-error of shutdown alone
handleSignals(six, { force: true });
