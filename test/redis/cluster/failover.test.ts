import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { poolOn, useCluster } from './support.ts';

describe.each(['SIGKILL', 'SIGSTOP'] as const)('when the master of a key is gone (%s) and its replica takes its place', (signal) => {
  const cluster = useCluster({ replicas: 1 });

  it('commands and leases reach the replica by themselves', async () => {
    const [master] = cluster().masters;
    const [replica] = cluster().replicas;
    const key = cluster().keyOn(master);
    const pool = poolOn(cluster(), { acquireTimeoutMs: 60_000, commandTimeoutMs: 1_000, connectTimeoutMs: 1_000 });
    await withRoot(async () => {
      await pool.set(key, 'before');
      await until(async () => Number(await cluster().observer(master).wait(1, 1_000)) === 1);
      const popped = pool.blpop(`{${key}}list`, 0).catch((error: unknown) => error);
      await until(() => pool.stats().exclusive === 1);
      await master?.kill(signal);
      // Whatever was on its way has an outcome, and what was not, waits.
      const outcome = await pool.set(key, 'after').catch((error: { readonly outcome?: string }) => error.outcome);
      expect(outcome).toMatch(/^(?:OK|unknown|rejected)$/);
      await until(() => pool.set(key, 'after'), { timeoutMs: 60_000 });
      expect(await pool.get(key)).toBe('after');
      expect(await pool.use((connection) => connection.options.port, { key })).toBe(replica?.port);
      await until(() => !Object.keys(pool.inspect().nodes).includes(`${master?.host}:${master?.port}`), { timeoutMs: 20_000 });
      if (signal === 'SIGSTOP') await master?.kill('SIGKILL');
      expect(await popped).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' });
    });
  }, 120_000);
});

describe('when the master of a key hangs, and so does whoever connects to it', () => {
  const cluster = useCluster({ replicas: 1 });

  it('commands reach the replica that takes its place, without waiting for what hangs', async () => {
    const [master] = cluster().masters;
    const key = cluster().keyOn(master);
    // The first question is over before a replica can have been elected; nothing else fails after it.
    const patience = { acquireTimeoutMs: 600_000, connectTimeoutMs: 600_000 };
    const pool = poolOn(cluster(), { ...patience, commandTimeoutMs: 500 });
    await withRoot(async () => {
      await until(() => pool.set(key, 'before'));
      await master?.kill('SIGSTOP');
      await pool.set(key, 'after').catch(() => {});
      expect(await until(() => pool.set(key, 'at last'), { timeoutMs: 50_000 })).toBe('OK');
      expect(await pool.use((connection) => connection.options.port, { key })).toBe(cluster().replicas[0]?.port);
    });
  }, 60_000);
});
