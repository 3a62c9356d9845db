import type { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis();
beforeEach(() => redis().observer.flushall());

describe('a listener of a holder', () => {
  it('hears what happens on the connection, and goes with the lease', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const messages: unknown[] = [];
      await pool.use(async (connection) => {
        expect(connection.on('message', (...message) => messages.push(message))).toBe(connection);
        await connection.subscribe('channel');
        await redis().observer.publish('channel', 'hello');
        await until(() => messages.length > 0);
        expect(messages).toEqual([['channel', 'hello']]);
      });
    });
  });

  it.each(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const)('does not stay behind: %s', async (method) => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const counts = [];
      for (let n = 0; n < 3; n++) {
        counts.push(await pool.use((connection) => (connection as EventEmitter)[method]('error', () => {}).listenerCount('error')));
      }
      expect(new Set(counts).size).toBe(1);
      expect(pool.stats().created).toBe(1);
    });
  });

  it('can be removed, while those of the library stay', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use((connection) => {
        const before = connection.listenerCount('close');
        const mine = () => {};
        connection
          .on('close', mine)
          .off('close', mine)
          .on('close', mine)
          .removeListener('close', mine)
          .on('close', mine)
          .removeAllListeners('close');
        expect(connection.listenerCount('close')).toBe(before);
        expect(connection.emit('mine')).toBe(false);
      });
      await pool.use((connection) => connection.quit());
      await until(() => pool.stats().closedBy.dead + pool.stats().closedBy.destroyed === 1);
    });
  });
});

const WAYS = ['use', 'share'] as const;

/** On either kind of lease; in both, listeners belong to the lease. */
describe.each(WAYS)('a listener in %s', (way) => {
  it('goes with the lease, and leaves those of the library', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const before = await pool[way]((connection) => connection.listenerCount('error'));
      for (let n = 0; n < 30; n++) await pool[way]((connection) => void connection.on('error', () => {}));
      expect(await pool[way]((connection) => connection.listenerCount('error'))).toBe(before);
      expect(pool.stats().created).toBe(1);
    });
  });

  it('is called on what the holder was given, once when it is for once, in order', async () => {
    await withRoot(() =>
      poolOn(redis())[way]((connection) => {
        const heard: unknown[] = [];
        const note = (name: string) =>
          function (this: unknown, ...args: unknown[]) {
            heard.push([name, this === connection, ...args]);
          };
        connection.on('mine', note('on')).once('mine', note('once'));
        (connection as EventEmitter).prependListener('mine', note('first')).prependOnceListener('mine', note('first once'));
        expect(connection.emit('mine', 1)).toBe(true);
        expect(heard).toEqual([
          ['first once', true, 1],
          ['first', true, 1],
          ['on', true, 1],
          ['once', true, 1],
        ]);
        connection.emit('mine', 2);
        expect(heard.slice(4)).toEqual([
          ['first', true, 2],
          ['on', true, 2],
        ]);
      }),
    );
  });

  it('is removed by itself, one of several equal ones at a time, and shown by listeners()', async () => {
    await withRoot(() =>
      poolOn(redis())[way]((connection) => {
        const mine = () => {};
        connection.on('mine', mine).once('mine', mine);
        expect(connection.listeners('mine')).toEqual([mine, mine]);
        connection.off('mine', mine);
        expect(connection.listenerCount('mine')).toBe(1);
        connection.off('mine', () => {}).off('other', mine);
        expect(connection.listenerCount('mine')).toBe(1);
        connection.removeListener('mine', connection.rawListeners('mine')[0] as () => void);
        expect(connection.listenerCount('mine')).toBe(0);
        expect(() => connection.on('mine', 'nothing' as unknown as () => void)).toThrow(TypeError);
      }),
    );
  });

  it('is forgotten when it is removed or has been called', async () => {
    await withRoot(() =>
      poolOn(redis())[way](async (connection) => {
        const gone: WeakRef<object>[] = [];
        const round = () => {
          const mine = () => gone.length;
          gone.push(new WeakRef(mine));
          connection.on('mine', mine).off('mine', mine);
          const other = () => gone.length;
          gone.push(new WeakRef(other));
          connection.once('mine', other).emit('mine');
        };
        for (let n = 0; n < 20_000; n++) round();
        await new Promise((resolve) => setTimeout(resolve, 10));
        globalThis.gc?.();
        expect(gone.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(10);
      }),
    );
  });

  it('does nothing to the connection any more when the lease has ended', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const mine = () => {};
      const kept = await pool[way]((connection) => ({ connection: connection.on('mine', mine) })).then(({ connection }) => ({
        connection,
      }));
      await pool[way](async (connection) => {
        const heard: unknown[] = [];
        connection.on('mine', mine).on('mine', () => heard.push('mine'));
        const before = connection.listenerCount('close');
        kept.connection.off('mine', mine).removeListener('mine', mine).removeAllListeners('mine').removeAllListeners();
        for (const method of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const) {
          const error = await errorOf(() => (kept.connection as EventEmitter)[method]('mine', mine));
          expect(error.code).toBe('ERR_LEASE_ENDED');
        }
        expect((await errorOf(() => kept.connection.emit('mine'))).code).toBe('ERR_LEASE_ENDED');
        expect(heard).toEqual([]);
        expect(connection.listenerCount('mine')).toBe(2);
        expect(connection.listenerCount('close')).toBe(before);
      });
    });
  });
});

describe('two who share a connection', () => {
  async function twoOn(fn: (one: Redis, other: Redis) => unknown): Promise<void> {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      using one = await pool.acquireShared();
      using other = await pool.acquireShared();
      await fn(one.resource, other.resource);
      expect(pool.stats().created).toBe(1);
    });
  }

  it('never remove the listeners of each other', () =>
    twoOn((one, other) => {
      const mine = () => {};
      other.on('mine', mine).on('yours', mine);
      one.off('mine', mine).removeAllListeners('mine').removeAllListeners();
      expect(one.listenerCount('mine')).toBe(1);
      one.on('mine', mine).on('yours', mine);
      one.removeAllListeners('mine');
      expect([one.listenerCount('mine'), one.listenerCount('yours')]).toEqual([1, 2]);
    }));

  it('take theirs with them, each when he leaves', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      const one = await pool.acquireShared();
      using other = await pool.acquireShared();
      const { resource } = other;
      one.resource.on('mine', () => {});
      resource.on('mine', () => {});
      expect(resource.listenerCount('mine')).toBe(2);
      one.release();
      expect(resource.listenerCount('mine')).toBe(1);
    });
  });
});
