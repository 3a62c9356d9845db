import type { ChainableCommander, Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { commandsDuring, errorOf, outcomeOf, poolOn, withRaw } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().observer.flushall());

type Start = (batch?: unknown[][]) => ChainableCommander;

/** Whatever batch, ioredis and we have to give the same results. */
const SAME: readonly (readonly [string, (start: Start) => unknown])[] = [
  ['nothing', (start) => start().exec()],
  ['commands', (start) => start().set('a', 1).get('a').incr('a').mget('a', 'b').exec()],
  [
    'Buffers',
    (start) =>
      start()
        .set('a', Buffer.from([255]))
        .getBuffer('a')
        .exec(),
  ],
  ['call', (start) => start().call('SET', 'a', '1').callBuffer('GET', 'a').exec()],
  ['an error inside', (start) => start().set('a', 'x').lpush('a', 1).get('a').exec()],
  ['a command that the server refuses', (start) => start().set('a', 'x').call('NOSUCH').get('a').exec()],
  [
    'a batch',
    (start) =>
      start([
        ['set', 'a', 1],
        ['getBuffer', 'a'],
        ['call', 'GET', 'a'],
      ])
        .get('a')
        .exec(),
  ],
  ['an unknown command in a batch', (start) => start([['nosuch', 'a']]).exec()],
  ['arrays as arguments', (start) => start().mset(['a', 1, 'b', 2]).mget(['a', 'b']).hset('h', { c: 3 }).hgetall('h').exec()],
  [
    'a callback',
    (start) =>
      new Promise(
        (resolve) =>
          void start()
            .set('a', 1)
            .exec((...given) => resolve(given)),
      ),
  ],
  ['its length', (start) => start().set('a', 1).get('a').length],
  [
    'callbacks of commands',
    async (start) => {
      const given: unknown[] = [];
      const batch = start()
        .set('a', 'x', (...all) => given.push(all))
        .lpush('a', 1, (...all) => given.push(all));
      return [await batch.exec(), given];
    },
  ],
  [
    'the order of callbacks',
    async (start) => {
      const order: string[] = [];
      await start()
        .set('a', 1, () => order.push('set'))
        .get('a', () => order.push('get'))
        .exec();
      return order;
    },
  ],
];

describe.each(['pipeline', 'multi'] as const)('%s() of a pool', (kind) => {
  const on =
    (client: Redis | RedisPool): Start =>
    (batch) =>
      (client[kind] as Start)(batch);

  it.each(SAME)('does as ioredis does: %s', async (_, use) => {
    const expected = (await withRaw(redis(), (raw) => outcomeOf(() => use(on(raw))))) as { error?: string };
    await redis().observer.flushall();
    const pool = poolOn(redis());
    const actual = (await withRoot(() => outcomeOf(() => use(on(pool))))) as { error?: string };
    if (expected.error?.startsWith('TypeError')) expect(actual.error).toMatch(/^TypeError: nosuch is no command/);
    else expect(actual).toEqual(expected);
    await redis().observer.flushall();
    const shared = (await withRoot(() => pool.share((connection) => outcomeOf(() => use(on(connection)))))) as { error?: string };
    if (!expected.error?.startsWith('TypeError')) expect(shared).toEqual(expected);
  });

  it('plays once, however often it is asked to', async () => {
    await withRoot(async () => {
      const batch = poolOn(redis())[kind]().incr('n');
      const first = batch.exec();
      expect(await batch.exec()).toEqual(await first);
      expect(await redis().observer.get('n')).toBe('1');
    });
  });

  it('takes no more commands once it plays', async () => {
    await withRoot(async () => {
      const batch = poolOn(redis())[kind]().incr('n');
      const results = batch.exec();
      expect(() => batch.get('n')).toThrow('GET after exec()');
      expect(await results).toEqual([[null, 1]]);
    });
  });

  it('knows the scripts of the definition', async () => {
    const scripts = { one: { lua: 'return ARGV[1]', numberOfKeys: 0 } };
    type Scripted = ChainableCommander & Record<'one' | 'oneBuffer', (value: string) => ChainableCommander>;
    const pool = poolOn(redis(), { scripts });
    const expected = [
      [null, 'a'],
      [null, Buffer.from('b')],
    ];
    const play = (client: Redis | RedisPool) => ((client[kind]() as Scripted).one('a') as Scripted).oneBuffer('b').exec();
    await withRoot(async () => {
      expect(await play(pool)).toEqual(expected);
      expect(await pool.share(play)).toEqual(expected);
      expect(await pool.use(play)).toEqual(expected);
      expect(await (pool[kind] as Start)([['one', 'c']]).exec()).toEqual([[null, 'c']]);
    });
  });

  it('refuses while recording what needs a lease of its own, and sends nothing', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.ping();
      const seen = await commandsDuring(redis(), async () => {
        expect((await errorOf(() => pool[kind]().set('a', 1).subscribe('channel').exec())).code).toBe('ERR_COMMAND_REFUSED');
        expect((await errorOf(() => pool[kind]().call('SELECT', 1).exec())).code).toBe('ERR_COMMAND_REFUSED');
        expect((await errorOf(() => (pool[kind] as Start)([['watch', 'a']]).exec())).code).toBe('ERR_COMMAND_REFUSED');
        expect((await errorOf(() => (pool[kind] as Start)([['selectBuffer', 1]]).exec())).code).toBe('ERR_COMMAND_REFUSED');
        expect((await errorOf(() => (pool[kind] as Start)([['exec']]).exec())).code).toBe('ERR_COMMAND_REFUSED');
        expect((await errorOf(() => (pool[kind]().set('a', 1) as unknown as { execBuffer(): unknown }).execBuffer())).code).toBe(
          'ERR_COMMAND_REFUSED',
        );
        expect((await errorOf(() => pool.share((connection) => connection[kind]().get('a').watch('a').exec()))).code).toBe(
          'ERR_COMMAND_REFUSED',
        );
      });
      expect(seen).toEqual([]);
    });
  });

  it('tells the callbacks of its commands when there was no connection to be had', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, acquireTimeoutMs: 500 });
      const held = await pool.acquire();
      const told: unknown[] = [];
      const error = await errorOf(() =>
        pool[kind]()
          .get('a', (reason) => told.push(reason))
          .exec(),
      );
      expect(error.code).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
      expect(told).toEqual([error]);
      held.release();
    });
  });
});

describe('pipeline() of a pool', () => {
  it('gets a connection of its own when a command in it blocks', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.ping();
      const popped = pool.pipeline().blpop('list', 20).get('a').exec();
      await until(() => pool.stats().exclusive === 1);
      expect(await pool.rpush('list', 'x')).toBe(1);
      expect(await popped).toEqual([
        [null, ['list', 'x']],
        [null, null],
      ]);
      expect(pool.stats().created).toBe(2);
    });
  });

  it('sees that a command blocks in a batch and under the name for Buffers, too', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const popped = (pool.pipeline as Start)([['blpopBuffer', 'list', 20]]).exec();
      await until(() => pool.stats().exclusive === 1);
      await pool.rpush('list', 'x');
      expect(await popped).toEqual([[null, [Buffer.from('list'), Buffer.from('x')]]]);
    });
  });

  it('does not hold up the end of the scope with a command that blocks for ever', async () => {
    let popped: Promise<unknown> | undefined;
    await withRoot(async () => {
      const pool = poolOn(redis());
      popped = pool.pipeline().blpop('list', 0).exec();
      await until(() => pool.stats().exclusive === 1);
    });
    expect(await popped).toEqual([[expect.objectContaining({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' })]]);
  });

  it('refuses a blocking command on a shared lease', async () => {
    const error = await withRoot(() => errorOf(() => poolOn(redis()).share((connection) => connection.pipeline().blpop('list', 1).exec())));
    expect(error.code).toBe('ERR_COMMAND_REFUSED');
  });
});

describe('multi() of a pool', () => {
  it('shares a connection also with a blocking command, which does not block there', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      expect(await pool.multi().blpop('list', 0).set('a', 1).exec()).toEqual([
        [null, null],
        [null, 'OK'],
      ]);
      expect(await pool.share((connection) => connection.multi().blpop('list', 0).exec())).toEqual([[null, null]]);
      expect(pool.stats()).toMatchObject({ created: 1, exclusive: 0 });
    });
  });

  it('fails as a whole, with the error of EXEC and those before it', async () => {
    const fail = (client: { multi(): ChainableCommander }) => errorOf(() => client.multi().set('a', 1).call('NOSUCH').exec());
    const expected = await withRaw(redis(), fail);
    const actual = await withRoot(() => fail(poolOn(redis())));
    expect(actual.message).toBe(expected.message);
    expect(actual).toMatchObject({ previousErrors: [{ message: expect.stringMatching(/NOSUCH/) }] });
    expect(await redis().observer.get('a')).toBeNull();
  });

  it('refuses pipeline: false, which needs a connection to keep', async () => {
    const pool = poolOn(redis());
    const multi = pool.multi as (...given: unknown[]) => unknown;
    expect((await errorOf(() => multi.call(pool, { pipeline: false }))).code).toBe('ERR_COMMAND_REFUSED');
    expect((await errorOf(() => multi.call(pool, [['get', 'a']], { pipeline: false }))).code).toBe('ERR_COMMAND_REFUSED');
  });
});
