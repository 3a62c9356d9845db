import { AsyncLocalStorage } from 'node:async_hooks';
import { currentScope, tryCurrentScope, withRoot } from 'scoped-pool';
import { flow, producer, scopeOf, scopeSandbox, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, outcomesOf, type Processor, type Queue, settled, VERSIONS } from './bull.ts';

const redis = useRedis();

/** The main connection of a worker or queue, in 6 and 5. */
async function clientOf(of: unknown): Promise<{ listenerCount(event: string): number; getMaxListeners(): number }> {
  const { getBackend, client } = of as { getBackend?(): { client: never }; client: never };
  return getBackend ? getBackend.call(of).client : client;
}

describe.each(VERSIONS)('producer() on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const { Queue, FlowProducer } = module;

  async function start(processor: Processor, options: { prefix?: string; concurrency?: number } = {}) {
    // The queue has the prefix of the worker, too, or the worker would not see its jobs.
    const queue = new Queue('from', { connection: bull.connection, ...options });
    await queue.obliterate({ force: true });
    const told: [unknown, string][] = [];
    const worker = scopeWorker(await bull.worker(queue, processor, options), { onError: (error, where) => void told.push([error, where]) });
    return { queue, worker, outcomes: outcomesOf(worker), told };
  }

  /** Runs so many jobs, and gives what they returned, in any order. */
  async function run(processor: Processor, { jobs = 1, ...options }: { jobs?: number; prefix?: string; concurrency?: number } = {}) {
    const { queue, worker, outcomes, told } = await start(processor, options);
    await queue.addBulk(Array.from({ length: jobs }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, jobs);
    expect([[...outcomes.failed.values()], told]).toEqual([[], []]);
    await queue.close();
    await worker.close();
    return [...outcomes.completed.values()];
  }

  /** What a job that calls this is refused with. */
  async function refusal(processor: Processor) {
    const [code] = await run(async (...args) => {
      const error: unknown = await Promise.resolve(processor(...args)).then(
        () => 'not refused',
        (thrown: unknown) => thrown,
      );
      return error instanceof Error ? { code: (error as { code?: unknown }).code, message: error.message } : error;
    });
    return code;
  }

  const waiting = (prefix: string, name: string) => redis().observer.llen(`${prefix}:${name}:wait`);
  const errorOf = (fn: () => Promise<unknown>) =>
    fn().then(
      () => undefined,
      (error: unknown) => error,
    );

  it('opens no connection, however many jobs and flows', async () => {
    const { queue, worker, outcomes } = await start(
      async () => {
        await (await producer(Queue, 'none')).add('job', {});
        await (await flow(FlowProducer)).add({ name: 'parent', queueName: 'none', children: [{ name: 'child', queueName: 'none' }] });
      },
      { concurrency: 5 },
    );
    const before = await redis().connectionsReceived();
    await queue.addBulk(Array.from({ length: 20 }, () => ({ name: 'job', data: {} })));
    await settled(outcomes, 20);
    expect(outcomes.failed.size).toBe(0);
    expect((await redis().connectionsReceived()) - before).toBe(0);
    // The job and the child; parents wait for their children.
    expect(await waiting('bull', 'none')).toBe(40);
    await worker.close();
    await queue.close();
    await redis().empty();
  });

  it('has the prefix of the worker, unless told another', async () => {
    await run(
      async () => {
        await (await producer(Queue, 'one')).add('job', {});
        await (await producer(Queue, 'two', { prefix: 'other' })).add('job', {});
        await (await flow(FlowProducer)).add({ name: 'parent', queueName: 'three' });
      },
      { prefix: 'own' },
    );
    expect(await Promise.all([waiting('own', 'one'), waiting('other', 'two'), waiting('own', 'three')])).toEqual([1, 1, 1]);
    expect(await redis().observer.keys('bull:{one,two,three}*')).toEqual([]);
  });

  it('hands on the options of BullMQ', async () => {
    const [attempts] = await run(async () => {
      const queue = await producer(Queue, 'with-options', { defaultJobOptions: { attempts: 7 } });
      return (await queue.add('job', {})).opts.attempts;
    });
    expect(attempts).toBe(7);
  });

  it('gives the jobs of a worker one queue, also those that ask at the same time, and another worker another', async () => {
    const made: unknown[] = [];
    const class_ = class extends Queue {};
    const process = async () => {
      const asked = [producer(class_, 'shared'), producer(class_, 'shared', {}), producer(class_, 'shared', { prefix: undefined })];
      made.push(...(await Promise.all(asked)), await producer(class_, 'shared'));
    };
    await run(process, { jobs: 3 });
    expect([made.length, new Set(made).size]).toEqual([12, 1]);
    expect(made[0]).toBeInstanceOf(class_);
    await run(process);
    expect(new Set(made).size).toBe(2);
    await run(async () => void made.push(await producer(Queue, 'shared'), await producer(class_, 'shared'), await flow(FlowProducer)));
    expect(new Set(made).size).toBe(5);
  });

  it('takes equal options for the same, and refuses others for the same queue', async () => {
    const options = () => ({
      defaultJobOptions: { attempts: 2, removeOnComplete: { count: 3 } },
      settings: { repeatStrategy: () => 1 },
    });
    const [asked] = await run(async () => Promise.all([1, 2].map(() => producer(Queue, 'same', options()))));
    expect(new Set(asked as unknown[]).size).toBe(1);
    expect(await refusal(async () => (await producer(Queue, 'same')) && producer(Queue, 'same', { prefix: 'other' }))).toEqual({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringMatching(
        /^producer\("same"\): prefix must be what it was when the queue "same" of this scope was made.*got "other"$/,
      ),
    });
    expect(await refusal(async () => (await flow(FlowProducer)) && flow(FlowProducer, { prefix: 'other' }))).toMatchObject({
      code: 'ERR_INVALID_OPTION',
    });
  });

  it('is of the worker also where workers share a scope, and closes with the worker', async () => {
    await withRoot(async (scope) => {
      const made: Queue[] = [];
      for (let n = 0; n < 2; n++) {
        const queue = await bull.queue();
        const processor: Processor = async () => void made.push(await producer(Queue, 'target'));
        const worker = scopeWorker(await bull.worker(queue, processor), { scope });
        const outcomes = outcomesOf(worker);
        await queue.add('job', {});
        await settled(outcomes, 1);
        expect(made[n]?.closing).toBeUndefined();
        await worker.close();
        expect([made[n]?.closing !== undefined, scope.state]).toEqual([true, 'open']);
      }
      expect(new Set(made).size).toBe(2);
    });
  });

  it('works with the class of another copy of BullMQ', async () => {
    for (const [, other] of VERSIONS) {
      await run(async () => void (await (await producer(other.Queue, 'copies')).add('job', {})));
      await run(async () => void (await (await flow(other.FlowProducer)).add({ name: 'job', queueName: 'copies' })));
    }
    expect(await waiting('bull', 'copies')).toBe(2 * VERSIONS.length);
    await redis().empty();
  });

  it('makes it anew when a job has closed it, as was its habit', async () => {
    const [isNew] = await run(async () => {
      const first = [await producer(Queue, 'closed'), await flow(FlowProducer)] as const;
      for (const made of first) await made.close();
      const [queue, flows] = [await producer(Queue, 'closed'), await flow(FlowProducer)];
      await queue.add('job', {});
      await flows.add({ name: 'job', queueName: 'closed' });
      return queue !== first[0] && flows !== first[1];
    });
    expect([isNew, await waiting('bull', 'closed')]).toEqual([true, 2]);
  });

  it('makes it anew when the first try failed', async () => {
    let fails = 2;
    const made: Queue[] = [];
    const Failing = class extends Queue {
      override async waitUntilReady(): Promise<never> {
        made.push(this);
        await super.waitUntilReady();
        // The constructor asks, too.
        if (fails-- > 0) throw new Error('not now');
        return undefined as never;
      }
    };
    const [results] = await run(async () => {
      const first = await Promise.all([1, 2].map(() => errorOf(() => producer(Failing, 'failing'))));
      const second = await producer(Failing, 'failing');
      return [...first.map((error) => (error as Error).message), (await second.add('job', {})).name];
    });
    expect(results).toEqual(['not now', 'not now', 'job']);
    expect(new Set(made).size).toBe(2);
    expect(made[0]?.closing).toBeDefined();
  });

  it('leaves listeners and connections as they are over 10,000 jobs that each add one', { timeout: 60_000 }, async () => {
    const { queue, worker, outcomes } = await start(async () => void (await (await producer(Queue, 'many')).add('job', {})), {
      concurrency: 100,
    });
    const client = await clientOf(worker);
    const listeners = () =>
      ['error', 'close', 'ready', 'end', 'connect'].map((event) => client.listenerCount(event)).concat(client.getMaxListeners());
    const bare = listeners();
    await queue.add('job', {});
    await settled(outcomes, 1);
    const [begun, received] = [listeners(), await redis().connectionsReceived()];
    for (let n = 0; n < 10; n++)
      await queue.addBulk(Array.from({ length: 1_000 }, () => ({ name: 'job', data: {}, opts: { removeOnComplete: true } })));
    await settled(outcomes, 10_001);
    expect([listeners(), await redis().connectionsReceived()]).toEqual([begun, received]);
    // One queue has three.
    expect(begun.slice(0, 3)).toEqual(bare.slice(0, 3).map((count) => count + 1));
    expect(await waiting('bull', 'many')).toBe(10_001);
    await queue.close();
    await worker.close();
    expect(
      listeners()
        .slice(0, 3)
        .every((count, n) => count < (begun[n] ?? 0)),
    ).toBe(true);
    await redis().empty();
  });

  it('finds the worker from a child scope, a task and a listener, and not from a root of its own', async () => {
    const { queue, worker, outcomes } = await start(async () => {
      const inJob = await producer(Queue, 'around');
      const inTask = await currentScope().spawn(() => producer(Queue, 'around'));
      const code = await withRoot(() => errorOf(() => producer(Queue, 'around')));
      return [inJob === inTask, (code as { code?: unknown }).code];
    });
    const heard = new Promise((resolve) => worker.on('completed', () => resolve(producer(Queue, 'around'))));
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect([...outcomes.completed.values()]).toEqual([[true, 'ERR_NO_WORKER']]);
    expect(await heard).toBe(await scopeOf(worker).run(() => producer(Queue, 'around')));
    await queue.close();
  });

  it('takes the connection of the worker for the same when it is given again, and opens another', async () => {
    const { queue, worker, outcomes } = await start(async (job) => {
      const queue = await producer(Queue, 'given', job.data);
      await queue.add('job', {});
      return (await clientOf(queue)) === (await clientOf(worker));
    });
    const before = await redis().connectionsReceived();
    await queue.add('job', { connection: bull.connection });
    await queue.add('job', {});
    await settled(outcomes, 2);
    expect([...outcomes.completed.values()]).toEqual([true, true]);
    expect((await redis().connectionsReceived()) - before).toBe(0);
    const other = { ...bull.connection, db: 1 };
    const made = await scopeOf(worker).run(() => producer(Queue, 'elsewhere', { connection: other }));
    expect(await clientOf(made)).not.toBe(await clientOf(worker));
    expect((await redis().connectionsReceived()) - before).toBe(1);
    await queue.close();
  });

  describe('without a worker', () => {
    it('opens the connection it is given once, in the root scope, and closes it with that', async () => {
      const before = (await redis().clients()).length;
      await withRoot(async (root) => {
        const { connection } = bull;
        const [one, two] = await Promise.all([
          producer(Queue, 'own', { connection }),
          producer(Queue, 'own', { connection: { ...connection } }),
        ]);
        expect(one).toBe(two);
        expect(await new Promise((resolve) => root.spawn(async () => resolve(await producer(Queue, 'own', { connection }))))).toBe(one);
        await one.add('job', {});
        expect((await redis().clients()).length - before).toBe(1);
        await (await flow(FlowProducer, { connection })).add({ name: 'job', queueName: 'own' });
        expect((await redis().clients()).length - before).toBe(2);
      });
      await until(async () => (await redis().clients()).length === before);
      expect(await waiting('bull', 'own')).toBe(2);
    });

    it('can be used by what stops something, also for the first time', async () => {
      const { connection } = bull;
      await withRoot(async (root) => root.onClose(async () => (await producer(Queue, 'stopping', { connection })).add('job', {})));
      expect(await waiting('bull', 'stopping')).toBe(1);
      await until(async () => (await redis().clients()).length === 0);
    });

    it('uses a client of the user, and leaves it open', async () => {
      const bare = await bull.queue();
      const client = await clientOf(bare);
      const listeners = client.listenerCount('error');
      await withRoot(async () => {
        await (await producer(Queue, 'clients', { connection: client as never })).add('job', {});
        expect(client.listenerCount('error')).toBe(listeners + 1);
      });
      expect(client.listenerCount('error')).toBe(listeners);
      await bare.add('job', {});
    });

    it('works in a sandboxed processor', async () => {
      const { connection } = bull;
      const processor = scopeSandbox(async (_job: { id: string }) => producer(Queue, 'sandboxed', { connection }));
      const [one, two] = [await processor({ id: '1' }), await processor({ id: '2' })];
      expect(one).toBe(two);
      const without = scopeSandbox(async (_job: { id: string }) => producer(Queue, 'sandboxed'));
      expect(await errorOf(() => without({ id: '3' }))).toMatchObject({ code: 'ERR_NO_WORKER' });
      // Nobody but the end of its process closes a sandbox.
      await one.close();
    });

    it('says what to do', async () => {
      const error = await withRoot(() => errorOf(() => producer(Queue, 'mails')), { name: 'request' });
      expect(error).toMatchObject({ code: 'ERR_NO_WORKER', message: expect.stringContaining('producer("mails"): scope "request"') });
      expect(await withRoot(() => errorOf(() => flow(FlowProducer)))).toMatchObject({ code: 'ERR_NO_WORKER' });
    });

    it('tells the root of what befalls the connection', async () => {
      const told: [unknown, string][] = [];
      await withRoot(
        async () => {
          const queue = await producer(Queue, 'broken', { connection: bull.connection });
          const boom = new Error('boom');
          ((await clientOf(queue)) as unknown as { emit(event: string, error: Error): void }).emit('error', boom);
          expect(told).toEqual([[boom, 'queue "broken"']]);
        },
        { onSuppressed: (error, from) => void told.push([error, from]) },
      );
    });

    it('makes it in the root scope and in the context of nobody', async () => {
      const seen: unknown[] = [];
      const stores = new AsyncLocalStorage<string>();
      const Seeing = class extends Queue {
        override async waitUntilReady(): Promise<never> {
          seen.push(stores.getStore(), tryCurrentScope()?.name);
          return super.waitUntilReady() as Promise<never>;
        }
      };
      await withRoot(
        (root) => root.spawn(() => stores.run('of a request', () => producer(Seeing, 'seeing', { connection: bull.connection }))),
        { name: 'root' },
      );
      expect(new Set(seen)).toEqual(new Set([undefined, 'root']));
    });
  });

  it('needs a scope', async () => {
    expect(await errorOf(() => producer(Queue, 'mails', { connection: bull.connection }))).toMatchObject({
      code: 'ERR_NO_SCOPE',
      message: expect.stringMatching(/^producer\("mails"\): no scope is open here/),
    });
    expect(await errorOf(() => flow(FlowProducer))).toMatchObject({ code: 'ERR_NO_SCOPE' });
  });

  it('refuses other classes, names and options', async () => {
    const invalid = (message: string) => ({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(message) });
    for (const wrong of [module.Worker, FlowProducer, module.QueueEvents, {}, undefined, () => {}]) {
      expect(await refusal(async () => producer(wrong as never, 'mails'))).toEqual(invalid('must be the class Queue of BullMQ 5 or 6'));
    }
    for (const wrong of [module.Worker, Queue, undefined]) {
      expect(await refusal(async () => flow(wrong as never))).toEqual(invalid('must be the class FlowProducer of BullMQ 5 or 6'));
    }
    expect(await refusal(async () => producer(Queue, ''))).toEqual(invalid('the name of the queue must be a text'));
    expect(await refusal(async () => producer(Queue, 'mails', 5 as never))).toEqual(invalid('options must be an object'));
    expect(await refusal(async () => producer(Queue, 'ma:ils'))).toMatchObject({ message: 'Queue name cannot contain :' });
  });

  it('refuses a class that makes a connection of its own, and closes that', async () => {
    const before = (await redis().clients()).length;
    const { connection } = bull;
    const Own = class extends Queue {
      constructor(name: string) {
        super(name, { connection });
      }
    };
    expect(await refusal(async () => producer(Own, 'mails'))).toEqual({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringContaining('a class that hands its options on to BullMQ'),
    });
    await until(async () => (await redis().clients()).length === before);
  });

  it('says that a worker on another backend has no connection to share', async () => {
    const gate = new Gate();
    const { queue, worker, outcomes } = await start(async () => {
      await gate.opened;
      const error = await errorOf(() => producer(Queue, 'mails'));
      Reflect.deleteProperty(worker, 'getBackend');
      Reflect.deleteProperty(worker, 'client');
      return (error as { code?: unknown }).code;
    });
    Object.defineProperty(worker, 'getBackend', { value: () => ({}), configurable: true });
    gate.open();
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect([...outcomes.completed.values()]).toEqual(['ERR_NOT_ON_REDIS']);
    await queue.close();
  });
});
