import { inspect } from 'node:util';
import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { ours, portOf, tell, useSentinels } from './sentinels.ts';
import { errorOf } from './support.ts';

const PATIENT = { timeoutMs: 20_000 };

describe('a pool that follows a sentinel', () => {
  const all = useSentinels();

  it('connects to the master, and leaves nothing open at the sentinel', async () => {
    await withRoot(async () => {
      const pool = all().pool({ max: 3 });
      await Promise.all([pool.set('a', 1), ...[1, 2, 3].map(() => pool.use((connection) => connection.incr('n')))]);
      expect(await portOf(pool)).toBe(all().servers[0].port);
      await until(async () => (await ours(all().sentinels[0])).length === 0);
      expect((await ours(all().servers[0])).length).toBe(pool.stats().open);
    });
    await until(async () => (await ours(all().servers[0])).length === 0);
  });

  it('reaches the promoted server after a failover, by itself, and says of each write what became of it', async () => {
    await withRoot(async () => {
      const pool = all().pool({ max: 2 });
      await pool.set('n', 0);
      const failing = all().failOver();
      const outcomes = new Set<string>();
      await until(async () => {
        await pool.incr('n').catch((error: { outcome?: string }) => outcomes.add(error.outcome ?? String(error)));
        return (await portOf(pool)) === all().servers[1].port;
      }, PATIENT);
      await failing;
      outcomes.delete('unknown');
      expect([...outcomes]).toEqual([]);
      expect(await pool.incr('n')).toBeGreaterThan(0);
      expect(await pool.use((connection) => connection.incr('n'))).toBeGreaterThan(1);
    });
  });

  it('reaches the promoted server when the master is killed, by the first command', async () => {
    await withRoot(async () => {
      const pool = all().pool();
      await pool.set('a', 1);
      await all().servers[0].kill('SIGKILL');
      expect(await pool.set('a', 2)).toBe('OK');
      expect(await portOf(pool)).toBe(all().servers[1].port);
      expect(await ours(all().sentinels[0])).toEqual([]);
    });
  });

  it('sends nothing more over a connection to a server that was made a replica and closed nothing', async () => {
    await withRoot(async () => {
      const pool = all().pool({ retry: { maxAttempts: 1 } });
      const [master] = all().servers;
      const before = await pool.client('ID');
      await tell(master, 'REPLICAOF', '127.0.0.1', '1');
      const refused = errorOf(() => pool.set('a', 1));
      expect(await refused).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'rejected' });
      await until(() => pool.stats().open === 0);
      await tell(master, 'REPLICAOF', 'NO', 'ONE');
      expect(await pool.set('a', 1)).toBe('OK');
      if ((await portOf(pool)) === master.port) expect(await pool.client('ID')).not.toBe(before);
    });
  });

  it('lends with role slave connections to the replica, which only read', async () => {
    await withRoot(async () => {
      const [master, replica] = all().servers;
      await tell(master, 'SET', 'a', '1');
      await until(async () => (await tell(replica, 'GET', 'a')) === '1');
      const reading = all().pool({ role: 'slave' });
      expect(await reading.get('a')).toBe('1');
      expect(await portOf(reading)).toBe(replica.port);
      const error = await errorOf(() => reading.use((connection) => connection.set('a', 2)));
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'rejected' });
    });
  });

  it('says that there is no replica', async () => {
    await all().servers[1].kill('SIGKILL');
    await until(async () => String(await tell(all().sentinels[0], 'SENTINEL', 'REPLICAS', 'mymaster')).includes('s_down'), PATIENT);
    await withRoot(async () => {
      const error = await errorOf(() => all().pool({ role: 'slave', acquireTimeoutMs: 200 }).get('a'));
      expect(error.message).toMatch(/no sentinel leads to a replica of "mymaster" \(127\.0\.0\.1:\d+: knows no replica of "mymaster"\)/);
    });
  });

  it.each([
    [true, 'ERR No such master with that name'],
    [false, 'knows no master of "typo"'],
  ])('says that the sentinel knows no master of that name (updateSentinels: %s)', async (updateSentinels, words) => {
    await withRoot(async () => {
      const error = await errorOf(() => all().pool({ name: 'typo', updateSentinels, acquireTimeoutMs: 200 }).get('a'));
      expect(error.code).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
      expect(error.message).toContain(`no sentinel leads to a master of "typo" (127.0.0.1:${all().sentinels[0]?.port}: ${words})`);
    });
  });
});

describe('failoverDetector', () => {
  const all = useSentinels();

  it('has idle connections closed when the sentinel tells of a failover', async () => {
    await withRoot(async () => {
      const pool = all().pool({ max: 2, failoverDetector: true });
      await Promise.all([1, 2].map(() => pool.use((connection) => connection.ping())));
      await until(async () => (await listening(all().sentinels[0])) === 2);
      const [master] = all().servers;
      await all().failOver();
      await until(() => pool.stats().closedBy.dead === 2, PATIENT);
      expect(await pool.set('a', 1)).toBe('OK');
      expect(await portOf(pool)).not.toBe(master.port);
    });
    await until(async () => (await ours(all().sentinels[0])).length === 0);
  });

  it('listens no longer than its connection lives, however that ends', async () => {
    await withRoot(async () => {
      const pool = all().pool({ failoverDetector: true });
      for (let round = 0; round < 3; round++) {
        await pool.set('a', round);
        await until(async () => (await listening(all().sentinels[0])) === 1);
        await tell(all().servers[0], 'CLIENT', 'KILL', 'TYPE', 'normal');
        await until(() => pool.stats().open === 0);
        await until(async () => (await ours(all().sentinels[0])).length === 0);
      }
      await pool.set('a', 3);
      await until(async () => (await listening(all().sentinels[0])) === 1);
    });
    await until(async () => (await ours(all().sentinels[0])).length === 0);
  });

  it('outlives its sentinel', async () => {
    await withRoot(async () => {
      const pool = all().pool({ failoverDetector: true, sentinelReconnectStrategy: () => 10 });
      await pool.set('a', 1);
      await until(async () => (await listening(all().sentinels[0])) === 1);
      await all().sentinels[0]?.restart();
      await until(async () => (await listening(all().sentinels[0])) === 1);
      expect(await pool.set('a', 1)).toBe('OK');
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
    await until(async () => (await ours(all().sentinels[0])).length === 0);
  });
});

/** How many connections of ours wait for news from a sentinel. */
async function listening(sentinel: Parameters<typeof tell>[0]): Promise<number> {
  return String(await tell(sentinel, 'CLIENT', 'LIST')).match(/ name=sp:\S* .* sub=1 /g)?.length ?? 0;
}

describe('sentinelPassword', () => {
  const all = useSentinels({ password: 'sentinel-right' });

  it('lets us ask', async () => {
    await withRoot(async () => expect(await all().pool({ sentinelPassword: 'sentinel-right' }).set('a', 1)).toBe('OK'));
  });

  it.each([
    ['wrong', 'hunter2-not-shown', /WRONGPASS/],
    ['missing', undefined, /NOAUTH/],
  ])('fails at once when it is %s, and is not shown', async (_, sentinelPassword, words) => {
    await withRoot(async (root) => {
      const pool = all().pool({ sentinelPassword, acquireTimeoutMs: 600_000, connectTimeoutMs: 600_000 });
      const error = await errorOf(() => pool.set('a', 1));
      expect(error).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE', message: expect.stringMatching(words) });
      expect(error.message).toMatch(/no sentinel leads to a master of "mymaster" \(127\.0\.0\.1:\d+: /);
      const shown = [error, pool.inspect(), pool.stats(), root.tree()];
      expect(inspect(shown, { depth: 20, showHidden: true, getters: true }) + error.stack).not.toContain('hunter2');
    });
  });
});
