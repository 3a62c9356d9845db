import type { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import { beforeEach, describe, expect, it } from 'vitest';
import { Pool } from '../../src/pool/pool.ts';
import { COMMANDS, METHODS } from '../../src/redis/ioredis.ts';
import { useRedis } from '../support/redis.ts';
import { errorOf, outcomeOf, poolOn, withRaw } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().observer.flushall());

type Client = Pick<
  Redis,
  'set' | 'get' | 'getBuffer' | 'call' | 'callBuffer' | 'lpush' | 'incr' | 'hset' | 'hgetall' | 'mset' | 'mget' | 'xadd'
>;

/** Given to ioredis and to a pool, these have to give the same. */
const SAME: readonly (readonly [string, (client: Client) => unknown])[] = [
  ['set and get', async (client) => [await client.set('key', 'value', 'EX', 100), await client.get('key')]],
  ['a key that is not there', (client) => client.get('nothing')],
  [
    'a Buffer in, a Buffer out',
    async (client) => [await client.set(Buffer.from('b'), Buffer.from([0, 255, 13, 10])), await client.getBuffer('b')],
  ],
  ['a number', (client) => client.incr('n')],
  ['an object', async (client) => [await client.hset('hash', { a: 1, b: 2 }), await client.hgetall('hash')]],
  ['a Map', async (client) => [await client.mset(new Map([['a', '1']])), await client.mget('a', 'b')]],
  ['arrays', async (client) => [await client.mset(['a', '1', 'b', '2']), await client.mget(['a', 'b'])]],
  ['call', async (client) => [await client.call('SET', 'c', 1), await client.call('GET', ['c']), await client.call('get', 'c')]],
  ['callBuffer', async (client) => [await client.call('SET', 'c', 1), await client.callBuffer('GET', 'c')]],
  ['an error of the server', async (client) => [await client.set('text', 'a'), await client.lpush('text', 'b')]],
  ['an unknown command', (client) => client.call('NOSUCH', 'a')],
  ['a wrong number of arguments', (client) => client.call('GET')],
  ['a callback', (client) => new Promise((resolve) => client.get('nothing', (...given) => resolve(given)))],
  ['a callback of call', (client) => new Promise((resolve) => client.call('GET', 'nothing', (...given) => resolve(given)))],
  ['no name in call', (client) => client.call(undefined as unknown as string)],
];

describe('a pool as a client', () => {
  it.each(SAME)('does as ioredis does: %s', async (_, use) => {
    const expected = await withRaw(redis(), (raw) => outcomeOf(() => use(raw)));
    await redis().observer.flushall();
    const actual = await withRoot(() => outcomeOf(() => use(poolOn(redis()))));
    if (typeof (expected as { error?: string }).error === 'string' && /TypeError/.test(JSON.stringify(expected))) {
      expect(JSON.stringify(actual)).toMatch(/TypeError/);
    } else expect(actual).toEqual(expected);
  });

  it('rejects with the very error object of ioredis, which says what was sent', async () => {
    await redis().observer.set('text', 'a');
    const error = await withRoot(() => errorOf(() => poolOn(redis()).lpush('text', 'b')));
    expect(error).toMatchObject({
      name: 'ReplyError',
      message: expect.stringMatching(/^WRONGTYPE/),
      command: { name: 'lpush', args: ['text', 'b'] },
    });
  });

  it('gives a callback the error, and does not leave the promise unhandled', async () => {
    await redis().observer.set('text', 'a');
    const given = await withRoot(
      () =>
        new Promise(
          (resolve) =>
            void poolOn(redis())
              .lpush('text', 'b', (...all) => resolve(all))
              .catch(() => {}),
        ),
    );
    expect(given).toEqual([expect.objectContaining({ message: expect.stringMatching(/^WRONGTYPE/) })]);
  });

  it('has every command of ioredis, also for Buffers', () => {
    const pool = poolOn(redis()) as unknown as Record<string, unknown>;
    expect([...METHODS.keys()].filter((method) => typeof pool[method] !== 'function')).toEqual([]);
    expect(COMMANDS.length).toBeGreaterThan(200);
  });

  it('hides no command behind a member of a pool', () => {
    const members = new Set(Object.getOwnPropertyNames(Pool.prototype));
    expect([...METHODS.keys()].filter((method) => members.has(method))).toEqual([]);
  });

  it('knows the scripts of its definition, for text and for Buffers', async () => {
    const twice = { lua: 'return {KEYS[1], ARGV[1], ARGV[1]}', numberOfKeys: 1 };
    const pool = poolOn(redis(), { scripts: { twice }, keyPrefix: 'p:' }) as unknown as Record<
      'twice' | 'twiceBuffer',
      (...args: string[]) => Promise<unknown>
    >;
    await withRoot(async () => {
      expect(await pool.twice('k', 'v')).toEqual(['p:k', 'v', 'v']);
      expect(await pool.twice('k', 'w')).toEqual(['p:k', 'w', 'w']);
      expect(await pool.twiceBuffer('k', 'v')).toEqual([Buffer.from('p:k'), Buffer.from('v'), Buffer.from('v')]);
      await redis().observer.script('FLUSH');
      expect(await pool.twice('k', 'v')).toEqual(['p:k', 'v', 'v']);
    });
  });

  it.each(['use', 'get', 'stats', 'send'])('refuses a script that is called %s', async (name) => {
    const error = await errorOf(() => poolOn(redis(), { scripts: { [name]: { lua: 'return 1' } } }));
    expect(error.code).toBe('ERR_INVALID_OPTION');
  });

  it('streams over all keys, members and fields', async () => {
    await redis().observer.mset(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`key-${n}`, n])));
    await redis().observer.sadd('key-set', 1, 2, 3);
    await withRoot(async () => {
      const pool = poolOn(redis());
      const keys = [];
      for await (const some of pool.scanStream({ match: 'key-*', count: 7 })) keys.push(...some);
      expect(new Set(keys).size).toBe(51);
      const members = [];
      for await (const some of pool.sscanStream('key-set')) members.push(...some);
      expect(members.sort()).toEqual(['1', '2', '3']);
      const buffers = [];
      for await (const some of pool.scanBufferStream({ match: 'key-set' })) buffers.push(...some);
      expect(buffers).toEqual([Buffer.from('key-set')]);
    });
  });

  it('is no thenable: await gives the pool', async () => {
    const pool = poolOn(redis());
    expect('then' in pool).toBe(false);
    expect(await pool).toBe(pool);
  });

  it('is no EventEmitter', () => {
    const pool = poolOn(redis());
    expect(['on', 'once', 'off', 'emit', 'addListener', 'removeListener'].filter((method) => method in pool)).toEqual([]);
  });

  it('throws ERR_NO_SCOPE outside every scope, as a rejection', async () => {
    const reply = poolOn(redis()).get('key');
    expect((await errorOf(() => reply)).code).toBe('ERR_NO_SCOPE');
  });
});
