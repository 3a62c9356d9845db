import { setImmediate as turn } from 'node:timers/promises';
import genericPool from 'generic-pool';
import { Redis } from 'ioredis';
import { withRoot } from '../../src/index.ts';
import type { PoolSettings } from '../../src/pool/options.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { CommandPool } from '../../src/redis/redis-pool.ts';
import type { HandOuts } from './hand-outs.ts';

/** Connections of each pool here. */
const LIMIT = 16;

/** Sends INCR on a connection of a pool. @param meanwhile Called with the reply, while the connection is still held, where somebody holds it. */
export type Incr = (key: string, meanwhile: () => void) => Promise<number>;

/** A way to get at connections while they are killed. */
export interface Contender {
  readonly name: string;
  /** How many use it at a time. */
  readonly users: number;
  readonly isOurs: boolean;
  /** Whether the bounds are for it: as our pool is used. */
  readonly isBound: boolean;
  /** Whether whoever uses it holds a connection meanwhile. */
  readonly holds: boolean;
  /** Opens connections to the server, has work done on them, and closes them. */
  run(url: string, handOuts: HandOuts, work: (incr: Incr) => Promise<void>): Promise<void>;
}

/** What is changed of our pool, to see what that is worth. */
interface Change {
  /** Does not look at connections before they are lent. */
  readonly blind?: boolean;
  /** Everybody waits for a turn of the event loop first, so that the look is never an old one. */
  readonly patient?: boolean;
  readonly maxSharers?: number;
}

export const CONTENDERS: readonly Contender[] = [
  exclusive('scoped-pool, exclusive'),
  exclusive('the same, without the look', { blind: true }),
  exclusive('the same, always after a turn', { patient: true }),
  { name: 'generic-pool', users: 8, holds: true, isOurs: false, isBound: false, run: generic },
  shared('scoped-pool, shared by all'),
  shared('the same, without the look', { blind: true }),
  shared('the same, always after a turn', { patient: true }),
  shared('scoped-pool, shared by 4', { maxSharers: 4 }),
  shared('the same, without the look', { blind: true, maxSharers: 4 }),
  shared('the same, always after a turn', { patient: true, maxSharers: 4 }),
];

function exclusive(name: string, change: Change = {}): Contender {
  const run: Contender['run'] = (url, handOuts, work) =>
    withRoot(async () => {
      const pool = poolOn(url, change, LIMIT);
      await fill(pool);
      await work(async (key, meanwhile) => {
        if (change.patient) await turns();
        return pool.use(async (connection) => {
          handOuts.note(connection);
          const reply = await connection.incr(key);
          handOuts.onReply(connection);
          meanwhile();
          return reply;
        });
      });
    });
  return { name, users: 8, holds: true, isOurs: true, isBound: !change.blind && !change.patient, run };
}

/** Plain commands: without `maxSharers` all of them are on one connection, which is then the one that is killed. */
function shared(name: string, change: Change = {}): Contender {
  const run: Contender['run'] = (url, handOuts, work) =>
    withRoot(async () => {
      const pool = poolOn(url, change, change.maxSharers ? LIMIT : 0, handOuts);
      if (change.maxSharers) await fill(pool);
      await work(async (key) => {
        if (change.patient) await turns();
        return pool.send('incr', 'incr', [key]) as Promise<number>;
      });
    });
  return { name, users: 16, holds: false, isOurs: true, isBound: false, run };
}

/** As the library waits before it looks. */
async function turns(): Promise<void> {
  await turn();
  await turn();
}

/** @param handOuts Told of each plain INCR that a connection is given. */
function poolOn(url: string, { blind, maxSharers = Number.POSITIVE_INFINITY }: Change, min: number, handOuts?: HandOuts): CommandPool {
  const { settings } = defineRedisPool(`health, min ${min}, shared by ${maxSharers}`, {
    url,
    max: LIMIT,
    min,
    maxSharers,
  }) as unknown as CommandPool;
  const create: PoolSettings<Redis>['create'] = async (context) => watched(await settings.create(context), handOuts);
  return new CommandPool('health', { ...settings, create, ...(blind ? { isUsable: undefined } : {}) });
}

function watched(connection: Redis, handOuts: HandOuts | undefined): Redis {
  const send = connection.sendCommand;
  if (handOuts)
    connection.sendCommand = (command, stream) => {
      const { name, promise } = command as unknown as { readonly name: string; readonly promise: Promise<unknown> };
      if (name === 'incr') {
        handOuts.note(connection);
        promise.then(
          () => handOuts.onReply(connection),
          () => {},
        );
      }
      return send.call(connection, command, stream);
    };
  return connection;
}

async function fill(pool: CommandPool): Promise<void> {
  const leases = await Promise.all(Array.from({ length: LIMIT }, () => pool.acquire()));
  for (const lease of leases) lease.release();
}

/** With ioredis as it comes: it connects again by itself. */
async function generic(url: string, handOuts: HandOuts, work: (incr: Incr) => Promise<void>): Promise<void> {
  const create = async () => {
    const connection = new Redis(url, { lazyConnect: true });
    connection.on('error', () => {});
    await connection.connect();
    return connection;
  };
  const pool = genericPool.createPool({ create, destroy: async (connection) => connection.disconnect() }, { min: LIMIT, max: LIMIT });
  await pool.ready();
  await work(async (key, meanwhile) => {
    const connection = await pool.acquire();
    try {
      handOuts.note(connection);
      const reply = await connection.incr(key);
      handOuts.onReply(connection);
      meanwhile();
      return reply;
    } finally {
      await pool.release(connection);
    }
  });
  await pool.drain();
  await pool.clear();
}
