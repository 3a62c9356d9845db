import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { withRoot } from '../../src/index.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { CommandPool } from '../../src/redis/redis-pool.ts';
import { median } from '../bench.ts';

/** So many connections lie idle, and are lent one after the other. */
const CONNECTIONS = 50;
/** For how long, in milliseconds: longer than what needs no look. */
const IDLE_MS = 3;

/** What one of them takes, in microseconds, on an event loop that has nothing else to do. */
export interface LookCost {
  readonly withLook: number;
  readonly withoutLook: number;
  readonly ping: number;
}

/** Lends connections that were idle, with the look and without it, and asks one with PING as often, in turn; the median of each. */
export function lookCost(url: string, rounds: number): Promise<LookCost> {
  return withRoot(async () => {
    const { settings } = defineRedisPool('health-look', { url, max: CONNECTIONS }) as unknown as CommandPool;
    const raw = new Redis(url);
    const subjects = [
      await lending(new CommandPool('with-look', settings)),
      await lending(new CommandPool('without-look', { ...settings, isUsable: undefined })),
      () => timed(() => raw.ping()),
    ];
    const times = subjects.map((): number[] => []);
    for (let round = -rounds / 4; round < rounds; round++) {
      for (const [place, subject] of subjects.entries()) {
        await sleep(IDLE_MS);
        const us = await subject();
        if (round >= 0) times[place]?.push(us);
      }
    }
    raw.disconnect();
    const [withLook = 0, withoutLook = 0, ping = 0] = times.map(median);
    return { withLook, withoutLook, ping };
  });
}

async function lending(pool: CommandPool): Promise<() => Promise<number>> {
  const lend = async () => {
    const leases: { release(): void }[] = [];
    const us = await timed(async () => leases.push(await pool.acquire()));
    for (const lease of leases) lease.release();
    return us;
  };
  await lend();
  return lend;
}

async function timed(fn: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  for (let n = 0; n < CONNECTIONS; n++) await fn();
  return ((performance.now() - begun) * 1_000) / CONNECTIONS;
}
