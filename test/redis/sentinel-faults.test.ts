import { withRoot } from 'scoped-pool';
import { afterEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { type DevRedis, startRedis } from '../../dev/redis-server.ts';
import { until } from '../support/until.ts';
import { ours, portOf, useSentinels } from './sentinels.ts';
import { errorOf } from './support.ts';

/** Sockets of this process that are open or being opened, and timers that keep it alive. */
const open = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || /^TCP(?!Server)/.test(name));

describe('three sentinels', () => {
  const all = useSentinels({ sentinels: 3 });

  it('of which none runs are named with what is wrong, and nothing stays open; back again, they serve', async () => {
    await withRoot(async () => {
      const pool = all().pool({ acquireTimeoutMs: 300 });
      await Promise.all(all().sentinels.map((sentinel) => sentinel.kill('SIGKILL')));
      const error = await errorOf(() => pool.set('a', 1));
      expect(error.code).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
      for (const { port } of all().sentinels) expect(error.message).toContain(`127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`);
      await until(() => pool.stats().creating === 0 && open().length === 0);
      await Promise.all(all().sentinels.map((sentinel) => sentinel.restart()));
      await until(() => pool.set('a', 1));
    });
    for (const server of [...all().sentinels, ...all().servers]) await until(async () => (await ours(server)).length === 0);
  });

  it('of which all are frozen cost no more than connectTimeoutMs, are cut, and serve when they thaw', async () => {
    await withRoot(async () => {
      const pool = all().pool({ acquireTimeoutMs: 60_000, connectTimeoutMs: 1_200 });
      await Promise.all(all().sentinels.map((sentinel) => sentinel.kill('SIGSTOP')));
      const waiting = pool.set('a', 1);
      await until(() => pool.stats().createFailed >= 1, { timeoutMs: 20_000 });
      const asked = errorOf(() => pool.use(() => {}, { acquireTimeoutMs: 50 }));
      for (const { port } of all().sentinels) expect((await asked).message).toContain(`127.0.0.1:${port}: no answer within 300 ms`);
      await Promise.all(all().sentinels.map((sentinel) => sentinel.kill('SIGCONT')));
      expect(await waiting).toBe('OK');
    });
    await until(() => open().length === 0);
    for (const server of [...all().sentinels, ...all().servers]) await until(async () => (await ours(server)).length === 0);
  });

  it('of which the first never answers serve at the first attempt, and it is asked last from then on', async () => {
    const [first, ...others] = all().sentinels;
    const proxy = await FaultProxy.start(first ?? { host: '', port: 0 });
    proxy.admit = 'silent';
    await withRoot(async () => {
      const sentinels = [proxy, ...others].map(({ host, port }) => ({ host, port }));
      const pool = all().pool({ sentinels, connectTimeoutMs: 8_000 });
      const lease = await pool.acquire();
      expect(pool.stats()).toMatchObject({ created: 1, createFailed: 0 });
      const leases = await Promise.all(Array.from({ length: 2 }, () => pool.acquire()));
      for (let n = 0; n < 4; n++) leases.push(await pool.acquire());
      expect(proxy.accepted).toBe(1);
      for (const each of [lease, ...leases]) each.release();
    });
    await proxy.stop();
  });
});

describe('a sentinel', () => {
  const all = useSentinels();
  const others: { stop(): Promise<void> }[] = [];
  afterEach(async () => void (await Promise.all(others.splice(0).map((other) => other.stop()))));

  /** One that has heard of no failover, and believes the master to be at that port. */
  async function behindTheTimes(port: number): Promise<DevRedis> {
    const lines = [`sentinel monitor mymaster 127.0.0.1 ${port} 1`, 'sentinel down-after-milliseconds mymaster 600000', ''];
    const sentinel = await startRedis({ fresh: true, sentinel: lines.join('\n') });
    others.push(sentinel);
    return sentinel;
  }

  const addresses = (...sentinels: readonly (DevRedis | undefined)[]) =>
    sentinels.map((each) => ({ host: '127.0.0.1', port: each?.port ?? 0 }));

  it('that leads to a server that is gone keeps nobody from asking the next one', async () => {
    const late = await behindTheTimes(1);
    await withRoot(async () => {
      const pool = all().pool({ sentinels: addresses(late, all().sentinels[0]) });
      expect(await pool.set('a', 1)).toBe('OK');
      expect(pool.stats()).toMatchObject({ created: 1, createFailed: 1 });
    });
  });

  it('that leads to a replica keeps nobody from asking the next one', async () => {
    const late = await behindTheTimes(all().servers[1].port);
    await withRoot(async () => {
      const pool = all().pool({ sentinels: addresses(late, all().sentinels[0]) });
      expect(await portOf(pool)).toBe(all().servers[0].port);
      expect(pool.stats()).toMatchObject({ created: 1, createFailed: 1 });
    });
  });

  it('that leads to a replica is named when it is the only one', async () => {
    const late = await behindTheTimes(all().servers[1].port);
    await withRoot(async () => {
      const error = await errorOf(() =>
        all()
          .pool({ sentinels: addresses(late), acquireTimeoutMs: 200 })
          .set('a', 1),
      );
      expect(error.message).toContain(`the sentinel 127.0.0.1:${late.port} leads to a server that is no master of "mymaster", but a slave`);
    });
  });

  it('that hangs up is asked once in each attempt, and no more when the attempt was given up', async () => {
    const proxy = await FaultProxy.start(all().sentinels[0] ?? { host: '', port: 0 });
    others.push(proxy);
    proxy.admit = 'reset';
    await withRoot(async () => {
      const pool = all().pool({ sentinels: [proxy], acquireTimeoutMs: 700 });
      expect((await errorOf(() => pool.set('a', 1))).message).toMatch(/no sentinel leads to a master of "mymaster" \(127\.0\.0\.1:\d+: /);
      await until(() => pool.stats().creating === 0);
      expect(proxy.accepted).toBe(pool.stats().createFailed);
      expect(proxy.accepted).toBeGreaterThan(2);
    });
    const { accepted } = proxy;
    await until(() => open().length === 0);
    expect(proxy.accepted).toBe(accepted);
  });

  it('that is gone is asked for news no longer than the connection lives', async () => {
    const proxy = await FaultProxy.start(all().sentinels[0] ?? { host: '', port: 0 });
    others.push(proxy);
    await withRoot(async () => {
      const pool = all().pool({ sentinels: [proxy], failoverDetector: true, sentinelReconnectStrategy: () => 1 });
      await pool.set('a', 1);
      await until(async () => (await ours(all().sentinels[0])).length === 1);
      const { accepted } = proxy;
      proxy.admit = 'reset';
      proxy.reset();
      // More often than ioredis tries to send a command again.
      await until(() => proxy.accepted > accepted + 50);
      proxy.admit = 'pass';
      await until(async () => (await ours(all().sentinels[0])).length === 1);
      proxy.admit = 'reset';
      proxy.reset();
      await until(() => proxy.accepted > accepted + 100);
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
    await until(() => open().length === 0);
  });

  it('that never answers is let go when the attempt ends, and when the root does', async () => {
    await all().sentinels[0]?.kill('SIGSTOP');
    await withRoot(async () => {
      const pool = all().pool({ acquireTimeoutMs: 300, connectTimeoutMs: 600_000 });
      expect(await errorOf(() => pool.set('a', 1))).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', facts: { phase: 'creating' } });
      expect(open()).toContain('TCPSocketWrap');
    });
    await until(() => open().length === 0);
    await withRoot(async () => {
      const pool = all().pool({ acquireTimeoutMs: 700, connectTimeoutMs: 100 });
      await errorOf(() => pool.set('a', 1));
      await until(() => pool.stats().creating === 0 && open().length === 0);
    });
  });
});
