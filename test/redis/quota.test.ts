import { Scope, withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { setQuota } from '../../src/pool/quota.ts';
import { useRedis } from '../support/redis.ts';
import { poolOn } from './support.ts';

const redis = useRedis();

describe('quotas on one Redis pool', () => {
  it('give each of two scopes its share, for exclusive leases, blocking and plain commands alike', async () => {
    const pool = poolOn(redis(), { max: 3 });
    const connections = async () => (await redis().clients()).length;
    await withRoot(async () => {
      const workers = ['emails', 'images'].map((name) => new Scope({ name }));
      for (const worker of workers) setQuota(worker, { [pool.name]: 2 });
      const [emails, images] = workers as [Scope, Scope];
      const mine = await emails.run(() => Promise.all([pool.acquire(), pool.acquire()]));
      const plain = emails.run(() => Promise.all(Array.from({ length: 50 }, (_, n) => pool.incr(`n:${n % 2}`))));
      expect(pool.stats()).toMatchObject({ exclusive: 2, pending: 0 });
      // The other one has the rest, and not more.
      expect(await images.run(() => pool.set('a', 'b'))).toBe('OK');
      const blocking = images.run(() => pool.blpop('list', 0));
      expect(await connections()).toBe(3);
      expect(pool.stats()).toMatchObject({ open: 3 });
      mine[0].release();
      // All of them together need one place.
      await plain;
      const second = await images.run(() => pool.acquire());
      mine[1].release();
      expect(pool.stats()).toMatchObject({ exclusive: 2, idle: 1 });
      const third = images.run(() => pool.incr('n:2'));
      await emails.run(() => pool.use((connection) => connection.set('b', 'c')));
      expect(await redis().observer.get('n:2')).toBeNull();
      await redis().observer.rpush('list', 'x');
      expect(await blocking).toEqual(['list', 'x']);
      expect(await third).toBe(1);
      second.release();
      await Promise.all(workers.map((worker) => worker.close()));
      expect(pool.stats()).toMatchObject({ exclusive: 0, sharers: 0, pending: 0, max: 3 });
      expect(await connections()).toBeLessThanOrEqual(3);
    });
  });

  it('never let a scope hold more connections than its own, whatever both do', async () => {
    const pool = poolOn(redis(), { max: 3 });
    await withRoot(async () => {
      const held = new Map<Scope, number>();
      const most = new Map<Scope, number>();
      const workers = [new Scope(), new Scope()];
      const job = (worker: Scope) =>
        pool.use(async (connection) => {
          held.set(worker, (held.get(worker) ?? 0) + 1);
          most.set(worker, Math.max(most.get(worker) ?? 0, held.get(worker) ?? 0));
          await connection.incr('jobs');
          held.set(worker, (held.get(worker) ?? 0) - 1);
        });
      for (const worker of workers) setQuota(worker, { [pool.name]: 2 });
      await Promise.all(workers.flatMap((worker) => Array.from({ length: 100 }, () => worker.run(() => job(worker)))));
      expect([...most.values()]).toEqual([2, 2]);
      expect(await redis().observer.get('jobs')).toBe('200');
      expect(pool.stats()).toMatchObject({ created: 3, inUse: 0, pending: 0 });
      await Promise.all(workers.map((worker) => worker.close()));
    });
  });

  it('wait for the replies of commands that nobody awaits, those that still wait for a place among them', async () => {
    const pool = poolOn(redis(), { max: 3 });
    await withRoot(async (root) => {
      const worker = new Scope();
      setQuota(worker, { [pool.name]: 1 });
      await worker.run(async () => {
        const lease = await pool.acquire();
        const ended = worker.run(() => new Scope({ name: 'job' }));
        ended.run(() => void pool.set('forgotten', 'kept'));
        const closed = ended.close();
        lease.release();
        await closed;
      });
      expect(await root.run(() => pool.get('forgotten'))).toBe('kept');
      await worker.close();
    });
  });
});
