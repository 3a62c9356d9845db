import type { Redis } from 'ioredis';
import { currentScope, withRoot, withScope } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, outcomeOf, poolOn, withRaw } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().observer.flushall());

const times = <R>(count: number, fn: (n: number) => R): R[] => Array.from({ length: count }, (_, n) => fn(n));

describe('plain commands', () => {
  it('open one connection, however many come at once', async () => {
    const before = await redis().connectionsReceived();
    await withRoot(async () => {
      const pool = poolOn(redis());
      expect(await Promise.all(times(100, () => pool.incr('n')))).toEqual(times(100, (n) => n + 1));
    });
    expect((await redis().connectionsReceived()) - before).toBe(1);
  });

  it('wait for nobody while another connection is held exclusively', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 2 });
      await pool.use(async (connection) => {
        const popped = connection.blpop('list', 0);
        expect(await Promise.all(times(20, () => pool.incr('n')))).toHaveLength(20);
        expect(pool.stats()).toMatchObject({ exclusive: 1, open: 2 });
        await pool.rpush('list', 'done');
        expect(await popped).toEqual(['list', 'done']);
      });
    });
  });

  it('that block get a connection of their own', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const popped = pool.blpop('list', 0);
      await until(() => pool.stats().exclusive === 1);
      await pool.rpush('list', 'x');
      expect(await popped).toEqual(['list', 'x']);
      expect(pool.stats()).toMatchObject({ exclusive: 0, created: 2 });
    });
  });

  it('that are not awaited are waited for at the end of their scope, and are no leak', async () => {
    const before = await redis().connectionsReceived();
    const reported: unknown[] = [];
    await withRoot(async () => {
      const pool = poolOn(redis());
      for (let n = 0; n < 200; n++) {
        await withScope(() => void pool.incr('n'), { onSuppressed: (error) => reported.push(error) });
        expect(await redis().observer.get('n')).toBe(String(n + 1));
      }
      expect(pool.stats()).toMatchObject({ leaked: 0, created: 1, inUse: 0 });
    });
    expect(reported).toEqual([]);
    expect((await redis().connectionsReceived()) - before).toBe(1);
  });

  it('that block for ever and are not awaited do not hold up the end of their scope', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const reported: unknown[] = [];
      const popped = await withScope(
        async () => {
          const reply = pool.blpop('list', 0);
          reply.catch(() => {});
          await until(() => pool.stats().exclusive === 1);
          return { reply };
        },
        { onSuppressed: (error) => reported.push(error) },
      );
      expect(await errorOf(() => popped.reply)).toMatchObject({ code: 'ERR_SCOPE_CLOSED' });
      await redis().observer.rpush('list', 'for nobody');
      expect(await pool.llen('list')).toBe(1);
      expect(pool.stats().leaked).toBe(0);
      expect(reported).toEqual([]);
    });
  });

  it('that block are ended by the cancellation of their scope, as an echo of it and no failure of their own', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const reported: unknown[] = [];
      const gone = new Error('the client has gone');
      const controller = new AbortController();
      const popped = withScope(() => pool.blpop('list', 0), { signal: controller.signal, onSuppressed: (error) => reported.push(error) });
      const failure = errorOf(() => popped);
      await until(() => pool.stats().exclusive === 1);
      controller.abort(gone);
      expect(await failure).toBe(gone);
      expect(reported).toEqual([]);
    });
  });

  describe('that fail and are not awaited', () => {
    const handlers = process.listeners('unhandledRejection');
    const unhandled: unknown[] = [];
    beforeEach(() => {
      process.removeAllListeners('unhandledRejection');
      process.on('unhandledRejection', (error) => unhandled.push(error));
    });
    afterEach(() => {
      unhandled.length = 0;
      process.removeAllListeners('unhandledRejection');
      for (const handler of handlers) process.on('unhandledRejection', handler);
    });

    it('are an unhandled rejection, as with ioredis', async () => {
      await redis().observer.set('text', 'a');
      await withRaw(redis(), async (raw) => {
        void raw.lpush('text', 'b');
        await raw.ping();
      });
      await until(() => unhandled.length === 1);
      await withRoot(() => void poolOn(redis()).lpush('text', 'b'));
      await until(() => unhandled.length === 2);
      expect((unhandled[1] as Error).message).toBe((unhandled[0] as Error).message);
    });

    it('are one also when they are a transaction', async () => {
      await withRoot(() => void poolOn(redis()).multi().call('NOSUCH').exec());
      await until(() => unhandled.length === 1);
    });

    it('are none with a callback', async () => {
      await redis().observer.set('text', 'a');
      await withRoot(async () => {
        const pool = poolOn(redis());
        await new Promise((resolve) => void pool.lpush('text', 'b', resolve));
        await pool.ping();
      });
      expect(unhandled).toEqual([]);
    });
  });

  it('go over the connection that share() keeps, in their order', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const id = await pool.share(async (connection) => {
        void connection.set('key', 'first');
        void connection.set('key', 'second');
        expect(await connection.get('key')).toBe('second');
        expect(await pool.client('ID')).toBe(await connection.client('ID'));
        return connection.client('ID');
      });
      expect(id).toBeGreaterThan(0);
      expect(pool.stats().created).toBe(1);
    });
  });

  it('inside use() neither wait nor deadlock while there is room', async () => {
    await withRoot(
      async () => {
        const pool = poolOn(redis());
        await Promise.all(times(3, () => withScope(() => pool.use(async () => outcomeOf(() => pool.incr('n'))))));
        expect(pool.stats().timeouts).toBe(0);
      },
      { limits: {} },
    );
  });

  it('are cancelled with their scope while they wait for a connection', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use(async () => {
        const scope = currentScope();
        const waiting = errorOf(() =>
          scope.run(() =>
            withScope((inner) => {
              const reply = pool.blpop('list', 0);
              inner.cancel(new Error('enough'));
              return reply;
            }),
          ),
        );
        expect((await waiting).message).toMatch(/enough|cancelled/);
      });
    });
  });
});

describe('the commands of one tick', () => {
  /** Counts how often something is handed to the socket. */
  function countWrites({ stream }: Redis): { writes: number } {
    const counts = { writes: 0 };
    const socket = stream as unknown as Record<'_write' | '_writev', (...args: unknown[]) => void>;
    for (const method of ['_write', '_writev'] as const) {
      const original = socket[method];
      socket[method] = function (...args) {
        counts.writes++;
        original.apply(this, args);
      };
    }
    return counts;
  }

  /** On one connection, that is not looked at between two commands. */
  const sharing = (fn: (pool: RedisPool, counts: { readonly writes: number }) => Promise<unknown>) =>
    withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const counts = await pool.use(countWrites);
      await pool.share(() => fn(pool, counts));
    });

  it('leave in one write behind the first, in their order', () =>
    sharing(async (pool, counts) => {
      expect(await Promise.all(times(50, (n) => pool.rpush('list', n)))).toEqual(times(50, (n) => n + 1));
      expect(counts.writes).toBe(2);
      await Promise.all([pool.ping(), pool.pipeline().ping().ping().exec(), pool.multi().ping().exec()]);
      expect(counts.writes).toBe(4);
      await pool.ping();
      expect(counts.writes).toBe(5);
      expect(await pool.lrange('list', 0, -1)).toEqual(times(50, String));
    }));

  it('leave so on an exclusive lease, too', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const counts = await pool.use(countWrites);
      await pool.use((connection) => Promise.all(times(50, (n) => connection.rpush('mine', n))));
      expect(counts.writes).toBe(2);
      expect(await pool.lrange('mine', 0, -1)).toEqual(times(50, String));
    });
  });

  it('leave so also when some hold bytes, and with batches between them', () =>
    sharing(async (pool, counts) => {
      const bytes = (n: number) => (n % 3 === 0 ? Buffer.from([0xff, n]) : `ü${n}`);
      const push = (n: number) => (n % 7 === 1 ? pool.pipeline().rpush('mixed', bytes(n)).exec() : pool.rpush('mixed', bytes(n)));
      await Promise.all(times(60, push));
      expect(counts.writes).toBe(2);
      expect(await pool.lrangeBuffer('mixed', 0, -1)).toEqual(times(60, (n) => Buffer.from(bytes(n) as string)));
    }));

  it('are told that nobody knows of them when the connection ends in that tick', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const errors = await pool.use((connection) => {
        const sent = times(3, () => errorOf(() => connection.incr('cut')));
        connection.stream.destroy();
        return Promise.all(sent);
      });
      for (const error of errors) expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' });
      expect(await pool.ping()).toBe('PONG');
    });
  });
});
