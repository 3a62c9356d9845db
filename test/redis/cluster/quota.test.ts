import { Scope, withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { setQuota } from '../../../src/pool/quota.ts';
import { poolOn, useCluster } from './support.ts';

const cluster = useCluster();

describe('a quota of a cluster pool', () => {
  it('holds for each node, as its limits do', async () => {
    const pool = poolOn(cluster(), { max: 3 });
    const [key = '', other = ''] = cluster().masters.map((node) => cluster().keyOn(node, 'quota'));
    await withRoot(async (root) => {
      const worker = new Scope({ name: 'worker' });
      setQuota(worker, { [pool.name]: 1 });
      await worker.run(async () => {
        const leases = [await pool.acquire({ key }), await pool.acquire({ key: other })];
        const refused = pool.use(() => {}, { key, acquireTimeoutMs: 30 });
        await expect(refused).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', facts: { scope: 'worker', max: 1 } });
        const waiting = pool.get(key);
        expect(pool.tryAcquire({ key })).toBeUndefined();
        expect(await root.run(() => pool.get(key))).toBeNull();
        for (const lease of leases) lease.release();
        expect(await waiting).toBeNull();
      });
      await worker.close();
    });
  });

  it('says how long an acquire waits that does not know its node yet', async () => {
    const pool = poolOn(cluster(), { nodes: ['redis://127.0.0.1:1'], acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const worker = new Scope();
      setQuota(worker, { [pool.name]: { acquireTimeoutMs: 30 } });
      await worker.run(() => expect(pool.get('a')).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' }));
      await worker.close();
    });
  });
});
