import { setTimeout as sleep } from 'node:timers/promises';
import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { poolOn } from './support.ts';

/** The server closes what has been idle for longer than a second. */
const redis = useRedis({ fresh: true, args: ['--timeout', '1'] });

/** How many connections the server has accepted in all, asked for that long; often enough that the observer is not idle. */
async function receivedOver(ms: number): Promise<readonly number[]> {
  const seen: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end; await sleep(200)) seen.push(await redis().connectionsReceived());
  return seen;
}

describe('a server that closes idle connections', () => {
  it.each(['min 0', 'a shorter idleTimeoutMs'])('makes an idle pool open none, with %s', async (which) => {
    await withRoot(async () => {
      const idleTimeoutMs = which === 'min 0' ? 3_600_000 : 500;
      const pool = poolOn(redis(), { max: 10, min: 0, idleTimeoutMs });
      const leases = await Promise.all(Array.from({ length: 10 }, () => pool.acquire()));
      for (const lease of leases) lease.release();
      expect(pool.stats()).toMatchObject({ open: 10, created: 10 });
      const seen = await receivedOver(3_500);
      expect(new Set(seen).size).toBe(1);
      await until(() => pool.stats().open === 0);
      const { dead, idle } = pool.stats().closedBy;
      expect({ dead, idle }).toEqual(which === 'min 0' ? { dead: 10, idle: 0 } : { dead: 0, idle: 10 });
      expect(pool.stats()).toMatchObject({ created: 10, createFailed: 0 });
      // What comes then opens what it needs.
      expect(await pool.ping()).toBe('PONG');
      expect(await redis().connectionsReceived()).toBe((seen.at(-1) as number) + 1);
    });
  });

  it('closes none that keepaliveMs keeps busy', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 10, min: 10, keepaliveMs: 500 });
      await pool.ping();
      await until(() => pool.stats().idle === 10);
      const before = await ids();
      expect(new Set(await receivedOver(3_500)).size).toBe(1);
      expect(pool.stats()).toMatchObject({ open: 10, created: 10, closed: 0 });
      expect(await ids()).toEqual(before);
    });
  });
});

async function ids(): Promise<readonly string[]> {
  return (await redis().clients('sp:')).map(({ id = '' }) => id).sort();
}
