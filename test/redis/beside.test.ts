import type { Redis } from 'ioredis';
import { Scope, withRoot } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis();

const monitors = async () => (await redis().clients()).filter(({ flags }) => flags?.includes('O'));

describe('monitor() on an exclusive lease', () => {
  it('hears commands, and is closed when the lease ends', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.use(async (connection) => {
        const heard: string[] = [];
        (await connection.monitor()).on('monitor', (_time: string, args: string[]) => heard.push(args.join(' ')));
        await redis().observer.echo('hello');
        await until(() => heard.includes('echo hello'));
        expect(await monitors()).toHaveLength(1);
      });
      await until(async () => (await monitors()).length === 0);
      expect(await pool.ping()).toBe('PONG');
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it('is gone from the server when the root has closed, however the lease ended', async () => {
    for (const end of ['kept', 'released', 'destroyed', 'not awaited'] as const) {
      const root = new Scope({ parent: null, graceMs: 10, onSuppressed: () => {} });
      const pool = poolOn(redis());
      await root.run(async () => {
        const lease = await pool.acquire();
        const monitor = lease.resource.monitor();
        monitor.catch(() => {});
        if (end !== 'not awaited') await monitor;
        if (end === 'released') lease.release();
        if (end === 'destroyed') lease.destroy();
      });
      await root.close().catch(() => {});
      expect(await redis().clients(`sp:test:${pool.name}`), end).toEqual([]);
    }
  });

  it('ends when the lease ends before the server has answered', async () => {
    await withRoot(async () => {
      let monitor: Promise<unknown> | undefined;
      await poolOn(redis()).use((connection) => {
        monitor = connection.monitor();
        monitor.catch(() => {});
      });
      expect((await errorOf(() => monitor)).code).toBe('ERR_LEASE_ENDED');
      await until(async () => (await monitors()).length === 0);
    });
  });

  it('takes a callback', async () => {
    await withRoot(() =>
      poolOn(redis()).use(async (connection) => {
        const monitor = await new Promise((resolve) => void connection.monitor((_, opened) => resolve(opened)));
        expect(monitor).toMatchObject({ status: 'monitoring' });
      }),
    );
  });
});

describe('what opens connections', () => {
  const ways: readonly (readonly [string, (pool: RedisPool, fn: (connection: Redis) => unknown) => unknown])[] = [
    ['use', (pool, fn) => pool.use(fn)],
    ['share', (pool, fn) => pool.share(fn)],
  ];

  it.each(ways)('is refused on a lease, with advice: %s', async (_, lease) => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.ping();
      const before = await redis().connectionsReceived();
      const refused = await errorOf(() => lease(pool, (connection) => connection.duplicate()));
      expect(refused).toMatchObject({ code: 'ERR_COMMAND_REFUSED', message: expect.stringContaining('lease another connection') });
      // Rejected, not thrown: ioredis' own is awaited by whoever calls it.
      const connect = await errorOf(() => lease(pool, (connection) => connection.connect().catch((error) => Promise.reject(error))));
      expect(connect).toMatchObject({ code: 'ERR_COMMAND_REFUSED', message: expect.stringContaining('The pool connects') });
      expect(await redis().connectionsReceived()).toBe(before);
      expect(await pool.ping()).toBe('PONG');
    });
  });

  it('tells a callback, too', async () => {
    await withRoot(() =>
      poolOn(redis()).use(async (connection) => {
        const told = await new Promise((resolve) => void connection.connect((error) => resolve(error)));
        expect(told).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
      }),
    );
  });
});
