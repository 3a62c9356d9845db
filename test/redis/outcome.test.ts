import { Redis } from 'ioredis';
import { RedisConnectionError, Scope, withRoot } from 'scoped-pool';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { published } from '../support/events.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis({ fresh: true });
let proxy: FaultProxy;
beforeEach(async () => {
  await redis().observer.flushall();
  proxy = await FaultProxy.start(redis().server);
});
afterEach(async () => {
  await redis().observer.replicaof('NO', 'ONE');
  await proxy.stop();
});

const times = <R>(count: number, fn: (n: number) => R) => Array.from({ length: count }, (_, n) => fn(n));
const closed = { code: 'ERR_REDIS_CONNECTION', cause: { message: 'Connection is closed.' } };

/** Drops the replies until the server has executed what was sent, then resets the connections. */
async function loseReplies(executed: () => Promise<boolean>): Promise<void> {
  proxy.blackHole('replies');
  await until(executed);
  proxy.reset();
}

describe('a connection that breaks after the server has executed and before it is heard', () => {
  it('fails writes with an unknown outcome, and has each executed once', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url });
      await pool.ping();
      proxy.blackHole('replies');
      const pushed = times(30, (n) => errorOf(() => pool.rpush('list', n)));
      await loseReplies(async () => (await redis().observer.llen('list')) === 30);
      for (const error of await Promise.all(pushed)) expect(error).toMatchObject({ ...closed, outcome: 'unknown' });
      expect(await pool.llen('list')).toBe(30);
    });
  });

  it('reads again, and the caller notices nothing', async () => {
    await redis().observer.set('a', 'x');
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url });
      await pool.ping();
      const before = Number(await redis().info('total_commands_processed'));
      proxy.blackHole('replies');
      const read = Promise.all([pool.get('a'), pool.call('GET', 'a'), pool.exists('a'), pool.getBuffer('a')]);
      await loseReplies(async () => Number(await redis().info('total_commands_processed')) > before + 4);
      expect(await read).toEqual(['x', 'x', 1, Buffer.from('x')]);
      expect(pool.stats().created).toBe(2);
    });
  });

  it('writes again what the caller has called idempotent', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url });
      await pool.ping();
      proxy.blackHole('replies');
      const written = Promise.all([pool.idempotent.set('a', 1), pool.idempotent.call('SADD', 's', 'm')]);
      await loseReplies(async () => (await redis().observer.exists('a', 's')) === 2);
      expect(await written).toEqual(['OK', 0]);
    });
  });

  it('does not send a script again, though it has the name of a command that reads', async () => {
    const lua = "return redis.call('INCR', KEYS[1])";
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, scripts: { hGetAll: { lua, numberOfKeys: 1 } } });
      await pool.ping();
      proxy.blackHole('replies');
      const counted = errorOf(() => (pool as unknown as { hGetAll(key: string): Promise<number> }).hGetAll('n'));
      await loseReplies(async () => (await redis().observer.exists('n')) === 1);
      expect(await counted).toMatchObject({ ...closed, outcome: 'unknown' });
      expect(await redis().observer.get('n')).toBe('1');
    });
  });

  it.each([
    ['cannot be sent', {}, () => proxy.refuse()],
    ['is refused', { retry: { delaysMs: [1, 1] } }, () => redis().observer.replicaof('127.0.0.1', 1)],
  ])('does not say of it that it was not executed because the next attempt %s', async (_, options, prevent) => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, acquireTimeoutMs: 200, ...options });
      await pool.ping();
      proxy.blackHole('replies');
      const written = errorOf(() => pool.idempotent.set('a', 1));
      await until(() => redis().observer.exists('a'));
      await prevent();
      proxy.reset();
      expect(await written).toMatchObject({ ...closed, outcome: 'unknown' });
    });
  });

  it('says so of what is sent in use(fn), in a pipeline and in a transaction, and sends nothing again', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, max: 3 });
      await Promise.all(times(3, () => pool.use((connection) => connection.ping())));
      proxy.blackHole('replies');
      const used = errorOf(() => pool.use((connection) => connection.incr('a')));
      const piped = pool.pipeline().incr('b').get('b').exec();
      const moved = errorOf(() => pool.multi().incr('c').exec());
      await loseReplies(async () => (await redis().observer.exists('a', 'b', 'c')) === 3);
      expect(await used).toMatchObject({ ...closed, outcome: 'unknown' });
      expect(await moved).toMatchObject({ outcome: 'unknown' });
      for (const [error] of (await piped) ?? []) expect(error).toMatchObject({ ...closed, outcome: 'unknown' });
      expect(await redis().observer.mget('a', 'b', 'c')).toEqual(['1', '1', '1']);
    });
  });
});

describe('a command whose reply does not come in time', () => {
  it('is told of once, though it is given up before its connection closes', async () => {
    const told = published('outcomeUnknown');
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, commandTimeoutMs: 100 });
      await pool.ping();
      proxy.blackHole('replies');
      expect(await errorOf(() => pool.incr('n'))).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT', outcome: 'unknown' });
      await until(() => pool.stats().closed === 1);
    });
    expect(told.map(({ message }) => message.command)).toEqual(['incr']);
  });
});

describe('a server that refuses what it does not execute', () => {
  it('is asked again, and the command succeeds once it is master again', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await redis().observer.replicaof('127.0.0.1', 1);
      const written = pool.set('a', 1);
      setTimeout(() => redis().observer.replicaof('NO', 'ONE'), 30);
      expect(await written).toBe('OK');
    });
  });

  it('fails the command as rejected when it goes on, after a bounded number of attempts', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { retry: { delaysMs: [1, 2] } });
      await redis().observer.config('RESETSTAT');
      await redis().observer.replicaof('127.0.0.1', 1);
      const error = (await errorOf(() => pool.set('a', 1))) as RedisConnectionError;
      await redis().observer.replicaof('NO', 'ONE');
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'rejected', cause: { name: 'ReplyError' } });
      expect(error.message).toContain('READONLY');
      expect(await redis().observer.info('errorstats')).toContain('errorstat_READONLY:count=3');
    });
  });
});

describe('a script that answers with an error of its own', () => {
  it.each([
    'BUSY come back later',
    'LOADING more than fits',
    'READONLY you may not change this document',
    'MOVED 3 items away',
    'TRYAGAIN in a while',
    'NOREPLICAS of this key',
  ])('was executed, and is not sent again: %s', async (message) => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const error = await errorOf(() => pool.eval("redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])", 1, 'n', message));
      expect(error).toMatchObject({ name: 'ReplyError', message });
      expect(error).not.toHaveProperty('outcome');
      expect(await redis().observer.get('n')).toBe('1');
      // What is closed for it is closed a moment later.
      await new Promise((resolve) => setImmediate(resolve));
      await pool.ping();
      expect(pool.stats().closedBy.dead).toBe(0);
    });
  });
});

describe('a transaction that the server refuses as a whole', () => {
  it('is sent again, and succeeds once the server is master again', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await redis().observer.replicaof('127.0.0.1', 1);
      const written = pool.multi().incr('a').incr('a').exec();
      setTimeout(() => redis().observer.replicaof('NO', 'ONE'), 30);
      expect(await written).toEqual([
        [null, 1],
        [null, 2],
      ]);
    });
  });

  it('fails as rejected when it goes on', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { retry: { delaysMs: [1] } });
      await redis().observer.replicaof('127.0.0.1', 1);
      const error = await errorOf(() => pool.multi().incr('a').exec());
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'rejected' });
      expect(error.message).toContain('EXECABORT');
    });
  });

  it('fails as rejected when the server becomes a replica before EXEC', async () => {
    await withRoot(async () => {
      const error = await poolOn(redis()).use(async (connection) => {
        await connection.multi({ pipeline: false });
        await connection.incr('a');
        await redis().observer.replicaof('127.0.0.1', 1);
        return errorOf(() => connection.exec());
      });
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'rejected' });
    });
  });

  it('is sent once when its commands have callbacks, which are called once', async () => {
    await withRoot(async () => {
      const called: unknown[] = [];
      await redis().observer.replicaof('127.0.0.1', 1);
      const batch = poolOn(redis(), { retry: { delaysMs: [1, 1] } }).multi();
      await errorOf(() => batch.incr('a', (error) => called.push(error)).exec());
      expect(called).toHaveLength(1);
    });
  });

  it('is not taken for one that has a mistake in it, which is thrown as ioredis throws it', async () => {
    await withRoot(async () => {
      const error = await errorOf(() => poolOn(redis()).multi().call('INCR').exec());
      expect(error).toMatchObject({ name: 'ReplyError', message: expect.stringContaining('EXECABORT') });
      expect(error).not.toHaveProperty('outcome');
    });
  });
});

describe('a script that is refused in the middle', () => {
  it('is not sent again, for what it has done before is done', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { retry: { delaysMs: [1, 1] } });
      const listener = new Redis(redis().url);
      let heard = 0;
      listener.on('message', () => heard++);
      await listener.subscribe('news');
      await redis().observer.replicaof('127.0.0.1', 1);
      const error = await errorOf(() => pool.eval('redis.call("PUBLISH", "news", "x") return redis.call("SET", KEYS[1], 1)', 1, 'a'));
      expect(error).toMatchObject({ name: 'ReplyError', message: expect.stringContaining('READONLY') });
      expect(error).not.toHaveProperty('outcome');
      await until(() => pool.stats().closedBy.dead === 1);
      await redis().observer.publish('news', 'last');
      await until(() => heard >= 2);
      expect(heard).toBe(2);
      await listener.quit();
    });
  });
});

describe('a blocking command on a server that becomes a replica', () => {
  it('was not executed, and goes on once the server is master again', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { retry: { delaysMs: [100, 100, 100, 100], maxAttempts: 5 } });
      const popped = pool.blpop('list', 5);
      await until(async () => (await redis().clients(`sp:test:${pool.name}`)).some(({ cmd }) => cmd === 'blpop'));
      await redis().observer.replicaof('127.0.0.1', 1);
      await redis().observer.replicaof('NO', 'ONE');
      await redis().observer.rpush('list', 'x');
      expect(await popped).toEqual(['list', 'x']);
    });
  });
});

describe('a command that gets no connection', () => {
  it('says that it was not sent', async () => {
    await proxy.refuse();
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, acquireTimeoutMs: 50 });
      for (const send of [() => pool.incr('a'), () => pool.multi().incr('a').exec(), () => pool.blpop('a', 1)])
        expect(await errorOf(send)).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', outcome: 'not-sent' });
    });
  });

  it('hears of a cluster where the server is a node of one and the key is on another', () => {
    const moved = new RedisConnectionError('p', 'get', 'rejected', new Error('MOVED 1 127.0.0.1:7001'));
    expect(moved.message).toContain('Use defineRedisClusterPool');
  });
});

describe('a command that the end of its scope cuts off', () => {
  it.each(['cancelled', 'closed'])('says that nobody knows of it when its scope is %s', async (how) => {
    const root = new Scope({ parent: null });
    const pool = poolOn(redis());
    const popped = root.run(() => pool.blpop('list', 0)).catch((error: unknown) => error);
    await until(async () => (await redis().clients(`sp:test:${pool.name}`)).some(({ cmd }) => cmd === 'blpop'));
    if (how === 'cancelled') root.cancel(new Error('enough'));
    await root.close({ graceMs: 0, cancelMs: 0 }).catch(() => {});
    expect(await popped).toMatchObject({ code: expect.stringMatching(/^ERR_SCOPE_(CANCELLED|CLOSED)$/), outcome: 'unknown' });
  });
});

describe('what has nothing to do with the connection', () => {
  it('is thrown as ioredis throws it', async () => {
    const raw = new Redis(redis().url);
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.set('a', 'x');
      const mine = await errorOf(() => pool.incr('a'));
      const theirs = await errorOf(() => raw.incr('a'));
      expect(`${mine.name}: ${mine.message}`).toBe(`${theirs.name}: ${theirs.message}`);
      expect(mine).not.toHaveProperty('outcome');
    });
    await raw.quit();
  });

  it('is not sent, and says so, on a connection that its holder has closed', async () => {
    await withRoot(async () => {
      const error = await poolOn(redis()).use(async (connection) => {
        connection.disconnect();
        return errorOf(() => connection.incr('a'));
      });
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'not-sent' });
      expect(await redis().observer.exists('a')).toBe(0);
    });
  });
});
