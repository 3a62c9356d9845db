import { currentScope, withRoot } from 'scoped-pool';
import { flow, producer, scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { afterEach, describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, outcomesOf, type Processor, type Queue, settled, VERSIONS } from './bull.ts';

const redis = useRedis({ fresh: true });

/** Rejections that nobody has handled; vitest would name no test. */
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

let isDown = false;

async function kill(): Promise<void> {
  isDown = true;
  await redis().server.kill('SIGKILL');
}

async function restart(): Promise<void> {
  await redis().server.restart();
  await redis().observer.ping();
  isDown = false;
}

describe.each(VERSIONS)('a queue of producer() closes on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const { Queue, FlowProducer } = module;

  afterEach(async () => {
    if (isDown) await restart();
    await redis().empty();
    expect(unhandled.splice(0)).toEqual([]);
  });

  async function start(processor: Processor, options: { connection?: never } = {}) {
    const queue = await bull.queue();
    const told: [unknown, string][] = [];
    const worker = scopeWorker(await bull.worker(queue, processor, options), { onError: (error, where) => void told.push([error, where]) });
    return { queue, worker, outcomes: outcomesOf(worker), told };
  }

  const errorOf = (fn: () => Promise<unknown>) =>
    fn().then(
      () => undefined,
      (error: unknown) => error,
    );

  it('with the worker, after it, and the job that adds meanwhile succeeds', async () => {
    const [begun, closing] = [new Gate(), new Gate()];
    let made: Queue | undefined;
    const { queue, worker, outcomes, told } = await start(async () => {
      made = await producer(Queue, 'target');
      const flows = await flow(FlowProducer);
      begun.open();
      await closing.opened;
      for (let n = 0; n < 3; n++) await (await producer(Queue, 'target')).add('job', {});
      await (await producer(Queue, 'another')).add('job', {});
      await flows.add({ name: 'job', queueName: 'target' });
      return made.closing === undefined;
    });
    await queue.add('job', {});
    await begun.opened;
    const closed = worker.close();
    await until(() => worker.closing !== undefined);
    closing.open();
    await closed;
    expect([[...outcomes.completed.values()], [...outcomes.failed.values()], told]).toEqual([[true], [], []]);
    expect(made?.closing).toBeDefined();
    expect(await Promise.all(['target', 'another'].map((name) => redis().observer.llen(`bull:${name}:wait`)))).toEqual([4, 1]);
  });

  it('with the worker that is forced, whose jobs can add no more', async () => {
    const begun = new Gate();
    const errors: unknown[] = [];
    const { queue, worker, told } = await start(async () => {
      const made = await producer(Queue, 'target');
      begun.open();
      await new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));
      errors.push(await errorOf(() => made.add('job', {})), await errorOf(() => producer(Queue, 'late')));
    });
    await queue.add('job', {});
    await begun.opened;
    await worker.close(true);
    expect([scopeOf(worker).state, told]).toEqual(['closed', []]);
    expect(errors).toMatchObject([{ message: expect.stringMatching(/closed/i) }, { code: 'ERR_SCOPE_CANCELLED' }]);
  });

  it('and is refused from then on', async () => {
    const { worker } = await start(async () => {});
    const ask = scopeOf(worker).bind(() => producer(Queue, 'late'));
    await ask();
    await worker.close();
    expect(await errorOf(ask)).toMatchObject({ code: 'ERR_SCOPE_CLOSED', message: expect.stringContaining('is closed') });
  });

  it('for tasks that outlive the worker: they are refused, too', async () => {
    const gate = new Gate();
    const { worker, told } = await start(async () => {});
    const asked = scopeOf(worker).spawn(async () => {
      await gate.opened;
      return errorOf(() => producer(Queue, 'late'));
    });
    const closed = worker.close();
    await until(() => scopeOf(worker).state === 'draining');
    gate.open();
    expect(await asked).toMatchObject({ code: 'ERR_SCOPE_CLOSED', message: expect.stringContaining('is draining') });
    await closed;
    expect(told).toEqual([]);
  });

  it('and is refused while that goes on, for nobody would close it', async () => {
    const errors: unknown[] = [];
    const { connection } = bull;
    const Asking = class extends Queue {
      override async close(): Promise<void> {
        errors.push(await errorOf(() => producer(Queue, 'late', { connection })));
        errors.push(await errorOf(() => producer(Asking, 'asking', { connection })));
        await super.close();
      }
    };
    await withRoot(() => producer(Asking, 'asking', { connection }));
    expect(errors).toMatchObject([{ code: 'ERR_SCOPE_CLOSED' }, { code: 'ERR_SCOPE_CLOSED' }]);
    await until(async () => (await redis().clients()).length === 0);
  });

  it('and leaves a client of the user as it was', async () => {
    const bare = (await bull.queue()) as unknown as { getBackend?(): { client: Promise<never> }; client: Promise<never> };
    const shared = await (bare.getBackend ? bare.getBackend().client : bare.client);
    const client = shared as { listenerCount(event: string): number; options: object; ping(): Promise<string> };
    Object.assign(client.options, { maxRetriesPerRequest: null });
    const count = () => ['error', 'close', 'ready', 'end'].map((event) => client.listenerCount(event));
    const before = count();
    const { queue, worker, outcomes } = await start(async () => (await producer(Queue, 'target')).add('job', {}), { connection: shared });
    await queue.add('job', {});
    await settled(outcomes, 1);
    expect(outcomes.failed.size).toBe(0);
    await worker.close();
    expect(count()).toEqual(before);
  });

  describe('while Redis is down', () => {
    it('with the worker that is forced', async () => {
      const begun = new Gate();
      const { queue, worker, told } = await start(async () => {
        await producer(Queue, 'target');
        await flow(FlowProducer);
        begun.open();
        await new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));
      });
      await queue.add('job', {});
      await begun.opened;
      await kill();
      await worker.close(true);
      expect([scopeOf(worker).state, told]).toEqual(['closed', []]);
    });

    it('also one that is still being made, and whoever waits for it hears of the end', async () => {
      const [begun, down] = [new Gate(), new Gate()];
      const errors: unknown[] = [];
      const { queue, worker, told } = await start(async () => {
        begun.open();
        await down.opened;
        errors.push(await errorOf(() => producer(Queue, 'target')));
      });
      await queue.add('job', {});
      await begun.opened;
      await kill();
      const client = await clientOf(worker);
      await until(() => client.status === 'reconnecting');
      const before = client.listenerCount('ready');
      down.open();
      await until(() => client.listenerCount('ready') > before);
      expect(errors).toEqual([]);
      await worker.close(true);
      await until(() => errors.length === 1);
      expect(errors).toMatchObject([{ code: expect.stringMatching(/^ERR_SCOPE_(CANCELLED|CLOSED)$/) }]);
      expect([scopeOf(worker).state, told]).toEqual(['closed', []]);
    });

    it('before it is ready, over a client that ends later', async () => {
      const client = (await clientOf(await bull.queue())) as Client & { disconnect(): void };
      const before = client.listenerCount('error');
      await redis().server.kill('SIGSTOP');
      const error = await withRoot(async (scope) => {
        const asked = errorOf(() => producer(Queue, 'own', { connection: client as never }));
        // It listens, and asks for the version of the server in the same turn.
        await until(() => client.listenerCount('error') > before);
        scope.cancel();
        return asked;
      });
      expect(error).toMatchObject({ code: 'ERR_SCOPE_CANCELLED' });
      client.disconnect();
      await kill();
      await until(() => client.status === 'end');
    });

    it('and is of use again when Redis is back', async () => {
      const [begun, back] = [new Gate(), new Gate()];
      const { queue, worker, outcomes } = await start(async () => {
        const made = await producer(Queue, 'target');
        begun.open();
        await back.opened;
        await made.add('job', {});
        return made === (await producer(Queue, 'target'));
      });
      await queue.add('job', {});
      await begun.opened;
      await kill();
      await restart();
      back.open();
      await until(async () => (await redis().observer.llen('bull:target:wait')) === 1, { timeoutMs: 15_000 });
      expect(outcomes.failed.size).toBe(0);
      await worker.close(true);
    });

    it('with the root that has opened its connection', async () => {
      const told: unknown[] = [];
      const options = { onSuppressed: (error: unknown) => void told.push(error) };
      await withRoot(async () => {
        const made = await producer(Queue, 'own', { connection: bull.connection });
        await kill();
        await until(() => told.length > 0);
        expect(made.closing).toBeUndefined();
      }, options);
      const count = told.length;
      await restart();
      expect(await redis().clients()).toEqual([]);
      expect(told.length).toBe(count);
    });

    it('with the root, which names it when it hangs, and lets go of its connection', async () => {
      let isLeft = false;
      const error = await errorOf(() =>
        withRoot(async () => {
          const client = (await clientOf(await producer(Queue, 'own', { connection: bull.connection }))) as Client & { disconnect(): void };
          const { disconnect } = client;
          client.disconnect = () => {
            isLeft = true;
            disconnect.call(client);
          };
          await redis().server.kill('SIGSTOP');
        }),
      );
      await redis().server.kill('SIGCONT');
      expect(isLeft).toBe(true);
      expect(error).toMatchObject({ code: 'ERR_SCOPE_TIMEOUT', pending: ['stop of queue "own"'] });
      await until(async () => (await redis().clients()).length === 0);
    });

    it('with the root whose connection never came', async () => {
      await kill();
      const told: unknown[] = [];
      const root = withRoot(
        async (scope) => {
          const asked = errorOf(() => producer(Queue, 'own', { connection: bull.connection }));
          await until(() => told.length > 0);
          scope.cancel();
          return asked;
        },
        { onSuppressed: (error) => void told.push(error) },
      );
      expect(await root).toMatchObject({ code: 'ERR_SCOPE_CANCELLED' });
      await restart();
      expect(await redis().clients()).toEqual([]);
    });
  });
});

interface Client {
  readonly status: string;
  listenerCount(event: string): number;
}

async function clientOf(of: unknown): Promise<Client> {
  const { getBackend, client } = of as { getBackend?(): { client: never }; client: never };
  return getBackend ? getBackend.call(of).client : client;
}
