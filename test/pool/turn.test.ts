import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import { poolOf, Server } from './support.ts';

describe('one that was idle', () => {
  it('is lent after a turn of the event loop, in which its death is heard of', async () => {
    const dead = new Set<number>();
    const pool = poolOf(new Server(), { max: 1, isUsable: ({ id }) => !dead.has(id) });
    await withRoot(async () => {
      await pool.use(() => {});
      await sleep(5);
      // What the system knows already, and tells with the next turn.
      setImmediate(() => setImmediate(() => dead.add(1)));
      await pool.use(({ id }) => expect(id).toBe(2));
      expect(pool.stats().closedBy.dead).toBe(1);
    });
  });

  it('is not asked for when it dies and is gone within that turn', async () => {
    const asked: unknown[] = [];
    const die: (() => void)[] = [];
    const pool = poolOf(new Server(), {
      max: 1,
      isUsable: (resource) => asked.push(resource) > 0,
      onDead: (_, report) => void die.push(report),
    });
    await withRoot(async () => {
      await pool.use(() => {});
      await sleep(5);
      const used = pool.use(({ id }) => expect(id).toBe(2));
      // The check waits for the next turn, and what happens in this one comes before.
      await new Promise((resolve) => process.nextTick(resolve));
      die[0]?.();
      await used;
      await sleep(5);
      expect(asked).not.toContain(undefined);
    });
  });

  it('is lent at once in the turn in which it came free', async () => {
    const pool = poolOf(new Server(), { max: 1, isUsable: () => true });
    await withRoot(async () => {
      // A machine that is busy may take longer than a turn is thought to take; not each time.
      const atOnce: boolean[] = [];
      for (let round = 0; round < 20; round++) {
        await pool.use(() => {});
        const lease = pool.tryAcquire();
        atOnce.push(lease !== undefined);
        lease?.release();
      }
      expect(atOnce).toContain(true);
      await sleep(5);
      expect(pool.tryAcquire()).toBeUndefined();
    });
  });

  it('is lent at once where nothing can be seen of it', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      await sleep(5);
      expect(pool.tryAcquire()).toBeDefined();
    });
  });

  it('does not count as validated by that: what keepaliveMs and validateAfterIdleMs ask for is asked', async () => {
    const asked: number[] = [];
    const pool = poolOf(new Server(), { max: 1, isUsable: () => true, validate: ({ id }) => asked.push(id), validateAfterIdleMs: 30 });
    await withRoot(async () => {
      await pool.use(() => {});
      await sleep(5);
      await pool.use(() => {});
      expect(asked).toEqual([]);
      await sleep(60);
      await pool.use(() => {});
      expect(asked).toEqual([1]);
    });
  });
});
