import { Redis } from 'ioredis';
import { withRoot } from '../src/index.ts';
import { defineRedisPool } from '../src/redis/index.ts';

/** One experiment: workers that run the same job again and again. */
export interface Phase {
  readonly name: string;
  /** One line of what it does. */
  readonly does: string;
  readonly workers: number;
  /** Jobs that each worker runs at a time. */
  readonly concurrency: number;
  /** Connections that each worker may open; undefined for workers that are not wrapped. */
  readonly limit: number | undefined;
  job(): Promise<unknown>;
}

/** Where the jobs of the demo send their commands. */
export interface Target {
  readonly url: string;
  /** A key to count with. */
  readonly key: string;
  /** Runs one command and notes how long it took. */
  time<T>(command: () => Promise<T>): Promise<T>;
}

const LIMIT = 10;
const ONE_WORKER = { workers: 1, concurrency: 5 };
const FIVE_WORKERS = { workers: 5, concurrency: 1 };

/** The six experiments. They differ in what lives as long as what, and in what a job asks for. */
export function phasesOn({ url, key, time }: Target): readonly Phase[] {
  const redis = defineRedisPool('redis', { url, max: LIMIT, acquireTimeoutMs: 60_000, service: 'demo' });
  const exclusive = () => time(() => redis.use((connection) => connection.incr(key)));
  const shared = () => time(() => redis.incr(key));

  const ownClient = async () => {
    const client = new Redis(url);
    await time(() => client.incr(key));
    await client.quit();
  };

  return [
    {
      ...ONE_WORKER,
      name: 'client per job',
      does: 'Each job makes an ioredis client, sends one command and closes it.',
      limit: undefined,
      job: ownClient,
    },
    {
      ...ONE_WORKER,
      name: 'pool per job',
      does: `Each job makes a pool of ${LIMIT} and sends 100 exclusive commands at once.`,
      limit: undefined,
      job: () => withRoot(() => times(100, exclusive)),
    },
    {
      ...ONE_WORKER,
      name: 'wrapped, 1 command',
      does: 'The worker owns the pool. Each job sends one exclusive command.',
      limit: LIMIT,
      job: exclusive,
    },
    {
      ...ONE_WORKER,
      name: 'wrapped, exclusive',
      does: 'The worker owns the pool. Each job sends 100 exclusive commands at once.',
      limit: LIMIT,
      job: () => times(100, exclusive),
    },
    {
      ...ONE_WORKER,
      name: 'wrapped, shared',
      does: 'The worker owns the pool. Each job sends 100 plain commands at once.',
      limit: LIMIT,
      job: () => times(100, shared),
    },
    {
      ...FIVE_WORKERS,
      name: 'wrapped, 5 workers',
      does: `Five workers own a pool of ${LIMIT} each. 100 exclusive commands per job.`,
      limit: LIMIT,
      job: () => times(100, exclusive),
    },
  ];
}

function times(count: number, command: () => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, command));
}
