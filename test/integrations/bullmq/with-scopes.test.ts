import { currentScope } from 'scoped-pool';
import { scopeOf, withScopes } from 'scoped-pool/bullmq';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { Bull, type Job, outcomesOf, type Queue, settled, VERSIONS, type Worker, workerScope } from './bull.ts';

const redis = useRedis();

describe.each(VERSIONS)('withScopes on %s', (_, module) => {
  const bull = new Bull(module, redis);

  /** Makes a worker of a class, which is closed at the end of the test. */
  function make(Class: typeof module.Worker, queue: Queue, processor: ConstructorParameters<typeof module.Worker>[1]): Worker {
    const worker = new Class(queue.name, processor, { connection: bull.connection });
    return bull.keep(worker);
  }

  it('makes workers that have scopes from their first job to their close', async () => {
    const Scoped = withScopes(module.Worker);
    const pool = bull.pool();
    const queue = await bull.queue();
    await queue.add('job', {});
    const worker = make(Scoped, queue, async () => {
      await pool.incr('n');
      return [workerScope().name, currentScope().name];
    });
    expect(worker).toBeInstanceOf(module.Worker);
    expect(worker).toBeInstanceOf(Scoped);
    expect([Scoped.name, worker.constructor.name]).toEqual(['Worker', 'Worker']);
    expect(Scoped.RateLimitError).toBe(module.Worker.RateLimitError);
    const outcomes = outcomesOf(worker);
    await settled(outcomes, 1);
    expect(outcomes.completed.get('1')).toEqual([`worker:${queue.name}`, 'job:1']);
    await worker.close();
    expect(scopeOf(worker).state).toBe('closed');
    expect(await bull.ours()).toBe(0);
  });

  it('can be subclassed, and the methods of the subclass count', async () => {
    const calls: string[] = [];
    class Mine extends withScopes(module.Worker) {
      readonly label = 'mine';

      override async close(force?: boolean): Promise<void> {
        calls.push(`close ${this.label}`);
        return super.close(force);
      }

      protected override callProcessJob(job: Job, token: string, signal?: AbortSignal) {
        calls.push(`job ${this.label} in ${currentScope().name}`);
        return super.callProcessJob(job, token, signal);
      }
    }
    const queue = await bull.queue();
    const worker = make(Mine as typeof module.Worker, queue, async () => {});
    const outcomes = outcomesOf(worker);
    await queue.add('job', {});
    await settled(outcomes, 1);
    await worker.close();
    expect(calls).toEqual(['job mine in job:1', 'close mine']);
    expect(scopeOf(worker).state).toBe('closed');
  });

  it('takes options, or a function that gives them by the name of the queue', async () => {
    const asked: string[] = [];
    const Scoped = withScopes(module.Worker, (queueName) => {
      asked.push(queueName);
      return { limits: { redis: asked.length } };
    });
    const pool = bull.pool();
    const opened: number[] = [];
    for (let n = 0; n < 2; n++) {
      const queue = await bull.queue();
      const worker = make(Scoped, queue, async () => {
        await Promise.all(Array.from({ length: 10 }, () => pool.use((connection) => connection.incr('n'))));
        return pool.stats().created;
      });
      const outcomes = outcomesOf(worker);
      await queue.add('job', {});
      await settled(outcomes, 1);
      expect(asked.at(-1)).toBe(queue.name);
      opened.push(Number(outcomes.completed.get('1')));
    }
    expect(opened).toEqual([1, 2]);
  });

  it('leaves a worker with a processor file as it is', async () => {
    const queue = await bull.queue();
    const file = new URL('./sandbox.cjs', import.meta.url);
    const worker = make(withScopes(module.Worker), queue, file as unknown as string);
    expect(() => scopeOf(worker)).toThrow(expect.objectContaining({ code: 'ERR_WORKER_NOT_SCOPED' }));
    await worker.close();
  });

  it('closes the worker that it refuses', async () => {
    const queue = await bull.queue();
    const before = (await redis().clients('')).length;
    const Scoped = withScopes(module.Worker, () => ({ limits: { redis: 0 } }));
    expect(() => make(Scoped, queue, async () => {})).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
    await until(async () => (await redis().clients('')).length === before);
  });

  it('refuses what is no class of workers, and options that are wrong', () => {
    const refusal = (said: string) => expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(said) });
    const said = 'withScopes(): its first argument must be the class Worker of BullMQ 5 or 6';
    for (const wrong of [module.Queue, undefined, {}, () => {}]) expect(() => withScopes(wrong as never)).toThrow(refusal(said));
    expect(() => withScopes(module.Worker, { graceMs: -1 })).toThrow(refusal('withScopes(): graceMs must be milliseconds'));
  });
});
