import type { Redis } from 'ioredis';
import { Scope, withRoot, withScope } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { commandsDuring, errorOf, poolOn } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().observer.flushall());

describe('a connection that is kept beyond its lease', () => {
  const KEPT: readonly (readonly [string, (kept: Redis) => unknown])[] = [
    ['get', (kept) => kept.get('key')],
    ['getBuffer', (kept) => kept.getBuffer('key')],
    ['call', (kept) => kept.call('GET', 'key')],
    ['quit', (kept) => kept.quit()],
    ['subscribe', (kept) => kept.subscribe('channel')],
    ['monitor', (kept) => kept.monitor()],
    ['disconnect', (kept) => kept.disconnect()],
    ['end', (kept) => kept.end()],
    ['connect', (kept) => kept.connect()],
    ['duplicate', (kept) => kept.duplicate()],
    ['on', (kept) => kept.on('message', () => {})],
    ['once', (kept) => kept.once('message', () => {})],
    ['emit', (kept) => kept.emit('message', 'channel', 'forged')],
    ['a new multi', (kept) => kept.multi().get('key').exec().then(firstError)],
    ['a new pipeline', (kept) => kept.pipeline().get('key').exec().then(firstError)],
  ];

  it.each(KEPT)('sends nothing any more: %s', async (_, use) => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const kept: Redis[] = [];
      await pool.use((connection) => kept.push(connection));
      await pool.share((connection) => kept.push(connection));
      const seen = await commandsDuring(redis(), async () => {
        for (const connection of kept) expect((await errorOf(() => use(connection))).code).toBe('ERR_LEASE_ENDED');
      });
      expect(seen).toEqual([]);
      expect(await pool.ping()).toBe('PONG');
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it.each(['pipeline', 'multi'] as const)('sends nothing of a %s that was begun in time', async (kind) => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const exclusive = await pool.use((connection) => ({ batch: connection[kind]().set('key', 1) }));
      const shared = await pool.share((connection) => ({ batch: connection[kind]().set('key', 1) }));
      const seen = await commandsDuring(redis(), async () => {
        for (const { batch } of [exclusive, shared])
          expect((await errorOf(() => batch.exec().then(firstError))).code).toBe('ERR_LEASE_ENDED');
      });
      expect(seen).toEqual([]);
    });
  });

  it('sends nothing while somebody else holds the connection', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const kept: Redis[] = [];
      await pool.use((connection) => kept.push(connection));
      await pool.use(async (connection) => {
        await connection.watch('key');
        expect((await errorOf(() => kept[0]?.set('key', 'foreign'))).code).toBe('ERR_LEASE_ENDED');
        expect(await connection.multi().set('key', 'mine').exec()).toEqual([[null, 'OK']]);
      });
      expect(await pool.get('key')).toBe('mine');
    });
  });

  it('leaks out of a scope no more than out of use()', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const reported: unknown[] = [];
      const leaked = await withScope(() => pool.acquire().then(({ resource }) => ({ resource })), {
        onSuppressed: (error) => reported.push(error),
      });
      expect((await errorOf(() => leaked.resource.get('key'))).code).toBe('ERR_LEASE_ENDED');
      expect(reported).toEqual([expect.objectContaining({ code: 'ERR_LEASE_LEAKED' })]);
      expect(pool.stats().leaked).toBe(1);
    });
  });
});

/** Pipelines give their errors as results. */
function firstError(results: readonly (readonly [unknown, unknown])[] | null): void {
  for (const [error] of results ?? []) if (error) throw error;
}

describe('an exclusive lease', () => {
  it('keeps everybody out of a transaction that is open', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 2 });
      await pool.use(async (connection) => {
        await connection.multi({ pipeline: false });
        expect(await connection.set('a', 1)).toBe('QUEUED');
        const others = await Promise.all(Array.from({ length: 50 }, () => pool.incr('n')));
        expect(others).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
        expect(await connection.exec()).toEqual([[null, 'OK']]);
      });
    });
  });

  it('makes a WATCH work: the transaction fails after a foreign write', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const result = await pool.use(async (connection) => {
        await connection.watch('key');
        await pool.set('key', 'foreign');
        return connection.multi().set('key', 'mine').exec();
      });
      expect(result).toBeNull();
      expect(await pool.get('key')).toBe('foreign');
    });
  });

  it('does not hand an un-awaited BLPOP to the next holder', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      let popped: Promise<unknown> | undefined;
      await pool.use((connection) => {
        popped = connection.blpop('list', 0);
        popped.catch(() => {});
      });
      expect(await pool.use((connection) => connection.ping())).toBe('PONG');
      await pool.rpush('list', 'for nobody');
      expect(await errorOf(() => popped)).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' });
      expect(await pool.lrange('list', 0, -1)).toEqual(['for nobody']);
    });
  });
});

/** What holders leave on a connection and cannot be undone, or not for certain. */
const DIRTY: readonly (readonly [string, (connection: Redis) => unknown])[] = [
  ['a subscription', (connection) => connection.subscribe('channel')],
  ['a pattern', (connection) => connection.psubscribe('channel*')],
  ['replies switched off', (connection) => void connection.client('REPLY', 'OFF').catch(() => {})],
  ['RESET', (connection) => connection.reset()],
  ['QUIT', (connection) => connection.quit()],
  ['disconnect()', (connection) => connection.disconnect()],
  ['a blocking command without its reply', (connection) => void connection.blpop('list', 0).catch(() => {})],
  ['one in the middle', (connection) => void Promise.allSettled([connection.incr('n'), connection.blpop('list', 0), connection.incr('n')])],
  ['UNWATCH with an argument, which the server refuses', (connection) => connection.watch('key').then(() => connection.call('UNWATCH', 1))],
  [
    'DISCARD with an argument, which the server refuses',
    (connection) => connection.call('MULTI').then(() => connection.call('DISCARD', 1)),
  ],
  ['another database while it watches, and a subscription', (connection) => Promise.all([connection.select(1), connection.subscribe('a')])],
];

/** What one round trip undoes, each with the commands that do. */
const UNDONE: readonly (readonly [string, (connection: Redis) => unknown, readonly string[]])[] = [
  ['WATCH', (connection) => connection.watch('key'), ['UNWATCH']],
  ['an open MULTI', (connection) => connection.multi({ pipeline: false }), ['DISCARD']],
  ['an open MULTI by call', (connection) => connection.call('MULTI'), ['DISCARD']],
  ['WATCH and an open MULTI', (connection) => connection.watch('key').then(() => connection.call('MULTI')), ['DISCARD']],
  ['WATCH, and an EXEC without MULTI', (connection) => connection.watch('key').then(() => connection.exec()), ['UNWATCH']],
  ['WATCH, and a DISCARD without MULTI', (connection) => connection.watch('key').then(() => connection.discard()), ['UNWATCH']],
  ['another database', (connection) => connection.select(1), ['SELECT 0']],
  ['another database, and then none', (connection) => connection.select(1).then(() => connection.select(null as never)), ['SELECT 0']],
  ['another database by call', (connection) => connection.call('SELECT', 1), ['SELECT 0']],
  [
    'another database, and its own in an open MULTI',
    (connection) => connection.select(1).then(() => Promise.all([connection.call('MULTI'), connection.select(0)])),
    ['DISCARD', 'SELECT 0'],
  ],
  // Not to be told from that of a handshake: that it is there, the answer to CLIENT INFO shows.
  ['another name', (connection) => connection.client('SETNAME', 'mine'), []],
  ['tracking', (connection) => connection.client('TRACKING', 'ON', 'OPTIN'), ['CLIENT TRACKING OFF']],
  [
    'tracking, switched off in a transaction that was discarded',
    async (connection) => {
      await connection.client('TRACKING', 'ON', 'OPTIN');
      await connection.call('MULTI');
      await connection.call('CLIENT', 'TRACKING', 'off');
      await connection.discard();
    },
    ['CLIENT TRACKING OFF'],
  ],
  [
    'another name, and its own in a transaction that was discarded',
    async (connection) => {
      const name = String(await connection.client('GETNAME'));
      await connection.client('SETNAME', 'mine');
      await connection.call('MULTI');
      await connection.client('SETNAME', name);
      await connection.discard();
    },
    [],
  ],
  ['a command without its reply', (connection) => void connection.incr('n'), ['PING']],
  ['a thousand of them', (connection) => void Array.from({ length: 1_000 }, () => connection.incr('n')), ['PING']],
  ['a transaction without its reply', (connection) => void connection.multi().incr('n').exec(), ['PING']],
  ['a script without its reply', (connection) => void connection.eval('return 1', 0), ['PING']],
];

const CLEAN: readonly (readonly [string, (connection: Redis) => unknown])[] = [
  ['plain commands', (connection) => connection.set('a', 1)],
  ['a transaction', (connection) => connection.multi().set('a', 1).exec()],
  ['WATCH and EXEC', (connection) => connection.watch('a').then(() => connection.multi().set('b', 1).exec())],
  ['WATCH and UNWATCH', (connection) => connection.watch('a').then(() => connection.unwatch())],
  ['MULTI and DISCARD', (connection) => connection.multi({ pipeline: false }).then(() => connection.discard())],
  ['a database and back', (connection) => connection.select(1).then(() => connection.select(0))],
  ['an error of a command', (connection) => connection.call('NOSUCH').catch(() => {})],
  ['an error of its own', () => Promise.reject(new Error('mine'))],
  ['a blocking command that was awaited', (connection) => connection.rpush('l', 1).then(() => connection.blpop('l', 1))],
  ['waiting for replicas', (connection) => connection.wait(0, 1)],
  ['listeners', (connection) => void connection.on('message', () => {})],
];

describe('after its lease, a connection', () => {
  async function opened(use: (connection: Redis) => unknown, times = 3): Promise<{ readonly opened: number; readonly pool: RedisPool }> {
    const pool = poolOn(redis(), { max: 1 });
    const before = await redis().connectionsReceived();
    for (let n = 0; n < times; n++) await Promise.resolve(pool.use(use)).catch(() => {});
    expect(await pool.use((connection) => connection.ping())).toBe('PONG');
    return { opened: (await redis().connectionsReceived()) - before, pool };
  }

  it.each(DIRTY)('is replaced when this was left on it: %s', (_, use) =>
    withRoot(async () => {
      const { opened: connections, pool } = await opened(use);
      expect(connections).toBe(4);
      expect(await pool.client('GETNAME')).toContain(pool.name);
    }),
  );

  it.each(UNDONE)('is made as it was, in one round trip, when this was left on it: %s', (_, use, undoing) =>
    withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const info = async (connection: Redis) => String(await connection.client('INFO')).match(/\b(name|db|flags|multi)=\S*/g);
      const before = await pool.use(info);
      const sent = await commandsDuring(redis(), async () => {
        for (let n = 0; n < 3; n++) await pool.use(use).catch(() => {});
        expect(await pool.use(info)).toEqual(before);
      });
      const seen = sent.join('\n').toUpperCase();
      for (const command of undoing) expect(seen.split(`\n${command}`)).toHaveLength(4);
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    }),
  );

  it('is made as it was before it is shared, too', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use((connection) => connection.select(1));
      await pool.set('key', 'value');
      expect(await redis().observer.get('key')).toBe('value');
      expect(pool.stats().created).toBe(1);
    });
  });

  it.each(CLEAN)('is lent again after %s', (_, use) => withRoot(async () => expect((await opened(use)).opened).toBe(1)));

  it('knows its own database, and another one', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { db: 2, max: 1 });
      await pool.use((connection) => connection.select(2));
      expect(pool.stats().closed).toBe(0);
      await pool.use((connection) => connection.select(0));
      await pool.set('key', 'value');
      expect(pool.stats().created).toBe(1);
      await redis().observer.select(2);
      expect(await redis().observer.get('key')).toBe('value');
      await redis().observer.select(0);
    });
  });
});

it('a scope that is closed leaves no connection behind', async () => {
  const root = new Scope({ parent: null });
  const pool = poolOn(redis());
  await root.run(async () => {
    await Promise.all(Array.from({ length: 5 }, () => pool.use((connection) => connection.ping())));
    expect(await redis().clients(`sp:test:${pool.name}`)).toHaveLength(5);
  });
  await root.close();
  expect(await redis().clients(`sp:test:${pool.name}`)).toEqual([]);
});
