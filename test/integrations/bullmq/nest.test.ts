import type { RegisterQueueOptions } from '@nestjs/bullmq';
import { BullModule, getQueueToken, OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { type INestApplicationContext, Module, type OnApplicationBootstrap, Scope, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { currentScope } from 'scoped-pool';
import { scopeOf, scopeWorker, withScopes } from 'scoped-pool/bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, Gate, type Job, outcomesOf, type Queue, settled, VERSIONS, workerScope } from './bull.ts';

const redis = useRedis();
let names = 0;

describe.each(VERSIONS)('NestJS with %s', (_, module) => {
  const bull = new Bull(module, redis);
  const apps: INestApplicationContext[] = [];

  beforeEach(() => {
    BullModule.queueClass = module.Queue;
    BullModule.workerClass = withScopes(module.Worker);
  });

  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });

  /** Starts an application with these processors. */
  async function start(providers: Type[], ...queues: RegisterQueueOptions[]): Promise<INestApplicationContext> {
    @Module({ imports: [BullModule.forRoot({ connection: bull.connection }), BullModule.registerQueue(...queues)], providers })
    class App {}
    const app = await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
    apps.push(app);
    return app;
  }

  function add(app: INestApplicationContext, queue: string, count: number): Promise<unknown> {
    return app.get<Queue>(getQueueToken(queue)).addBulk(Array.from({ length: count }, (_, n) => ({ name: 'job', data: { n } })));
  }

  const hundred = (pool = bull.pool()) => Promise.all(Array.from({ length: 100 }, () => pool.use((connection) => connection.incr('n'))));

  /** Nothing at all is connected to the server, neither by us nor by BullMQ. */
  const nobodyIsLeft = () => until(async () => (await redis().clients()).length === 0);

  it('runs jobs in the scope of their worker, each queue with the limit that the function gives it', async () => {
    const [small, large] = [`small-${++names}`, `large-${names}`];
    BullModule.workerClass = withScopes(module.Worker, (queue) => ({ limits: { redis: queue === small ? 2 : 5 } }));
    @Processor(small, { concurrency: 2 })
    class Small extends WorkerHost {
      async process(): Promise<string> {
        await hundred();
        return workerScope().name;
      }
    }
    @Processor(large, { concurrency: 3 })
    class Large extends Small {}
    const app = await start([Small, Large], { name: small }, { name: large });
    for (const [queue, Host] of [[small, Small] as const, [large, Large] as const]) {
      const outcomes = outcomesOf(app.get(Host).worker);
      await add(app, queue, 10);
      await settled(outcomes, 10);
      expect([...outcomes.failed.values()]).toEqual([]);
      expect(new Set(outcomes.completed.values())).toEqual(new Set([`worker:${queue}`]));
    }
    const created = [Small, Large].map((Host) => scopeOf(app.get(Host).worker).run(() => bull.pool().stats().created));
    expect([created, await bull.ours()]).toEqual([[2, 5], 7]);
    await app.close();
    expect(await bull.ours()).toBe(0);
    await nobodyIsLeft();
  });

  it('lets a running job finish with its connections before close() resolves, which leaves none', async () => {
    const name = `closing-${++names}`;
    const [begun, finish] = [new Gate(), new Gate()];
    @Processor(name)
    class Host extends WorkerHost {
      async process(): Promise<unknown> {
        begun.open();
        await finish.opened;
        return bull.pool().use((connection) => connection.set('said', 'late'));
      }
    }
    const app = await start([Host], { name });
    const { worker } = app.get(Host);
    const outcomes = outcomesOf(worker);
    const stopped: string[] = [];
    scopeOf(worker).onClose(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      stopped.push('stopped');
    });
    await add(app, name, 1);
    await begun.opened;
    const closed = app.close().then(() => stopped.push('closed'));
    await until(() => (worker as unknown as { closing?: unknown }).closing !== undefined);
    expect([scopeOf(worker).state, stopped]).toEqual(['open', []]);
    finish.open();
    await closed;
    expect([...outcomes.completed.values()]).toEqual(['OK']);
    expect([scopeOf(worker).state, stopped]).toEqual(['closed', ['stopped', 'closed']]);
    expect(await bull.ours()).toBe(0);
    await nobodyIsLeft();
  });

  it('opens no pool for each of the processors that are made per job', async () => {
    const name = `requests-${++names}`;
    let made = 0;
    const [jobs, workers] = [new Set<unknown>(), new Set<ReturnType<typeof workerScope>>()];
    @Processor({ name, scope: Scope.REQUEST }, { concurrency: 4 })
    class Host extends WorkerHost {
      readonly #number = ++made;

      async process(): Promise<number> {
        jobs.add(currentScope());
        workers.add(workerScope());
        await hundred();
        return this.#number;
      }
    }
    BullModule.workerClass = withScopes(module.Worker, { limits: { redis: 4 } });
    const app = await start([Host], { name });
    await add(app, name, 30);
    const queue = app.get<Queue>(getQueueToken(name));
    await until(async () => (await queue.getCompletedCount()) + (await queue.getFailedCount()) === 30);
    const results = (await queue.getJobs(['completed'])).map((job: Job) => job.returnvalue as number);
    expect([new Set(results).size, jobs.size, workers.size]).toEqual([30, 30, 1]);
    const created = [...workers].map((worker) => worker.run(() => bull.pool().stats().created));
    expect([created, await bull.ours()]).toEqual([[4], 4]);
    await app.close();
    expect(await bull.ours()).toBe(0);
    await nobodyIsLeft();
  });

  it('runs listeners of a worker in its scope', async () => {
    const name = `listeners-${++names}`;
    const heard: Promise<unknown>[] = [];
    @Processor(name)
    class Host extends WorkerHost {
      async process(): Promise<void> {}

      @OnWorkerEvent('completed')
      onCompleted(): void {
        heard.push(bull.pool().set('heard', workerScope().name));
      }
    }
    const app = await start([Host], { name });
    await add(app, name, 1);
    await until(() => heard.length === 1);
    expect(await heard[0]).toBe('OK');
    expect(await redis().observer.get('heard')).toBe(`worker:${name}`);
    await app.close();
    await nobodyIsLeft();
  });

  it('scopes a processor that is given with its queue', async () => {
    const name = `callbacks-${++names}`;
    const seen: string[] = [];
    const process = async () => void seen.push(workerScope().name, String(await bull.pool().incr('callbacks')));
    const app = await start([], { name, processors: [process] });
    await add(app, name, 1);
    await until(() => seen.length === 2);
    expect(seen).toEqual([`worker:${name}`, expect.any(String)]);
    await app.close();
    expect(await bull.ours()).toBe(0);
    await nobodyIsLeft();
  });

  it('takes scopeWorker() in onApplicationBootstrap, where the worker does not run before', async () => {
    const name = `bootstrap-${++names}`;
    BullModule.workerClass = module.Worker;
    let outcomes: ReturnType<typeof outcomesOf> | undefined;
    @Processor(name, { autorun: false, concurrency: 3 })
    class Host extends WorkerHost implements OnApplicationBootstrap {
      onApplicationBootstrap(): void {
        outcomes = outcomesOf(this.worker);
        void scopeWorker(this.worker, { limits: { redis: 3 } }).run();
      }

      async process(): Promise<string> {
        await hundred();
        return workerScope().name;
      }
    }
    const queue = new module.Queue(name, { connection: bull.connection });
    await queue.addBulk(Array.from({ length: 10 }, () => ({ name: 'job', data: {} })));
    await queue.close();
    const app = await start([Host], { name });
    await settled(outcomes as NonNullable<typeof outcomes>, 10);
    expect([...(outcomes?.failed.values() ?? [])]).toEqual([]);
    expect(new Set(outcomes?.completed.values())).toEqual(new Set([`worker:${name}`]));
    expect(await bull.ours()).toBe(3);
    await app.close();
    expect(await bull.ours()).toBe(0);
    await nobodyIsLeft();
  });
});
