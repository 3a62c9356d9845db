import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import { until } from '../support/until.ts';
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

  it('is lent to whoever waits though another one is being made, which takes for ever', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, isUsable: () => true });
    await withRoot(async () => {
      const first = await pool.acquire();
      server.onCreate = (signal) => new Promise((_, reject) => signal.addEventListener('abort', reject));
      const waiting = pool.use(({ id }) => id);
      await until(() => server.attempts === 2);
      first.release();
      expect(await waiting).toBe(1);
      await pool.close();
    });
  });

  it('is lent after a turn also when it came free just now, to whoever asks and to whoever waits', async () => {
    const dead = new Set<number>();
    const pool = poolOf(new Server(), { max: 1, isUsable: ({ id }) => !dead.has(id) });
    await withRoot(async () => {
      const first = await pool.acquire();
      const waiting = pool.use(({ id }) => id);
      await sleep(1);
      setImmediate(() => dead.add(1));
      first.release();
      expect(await waiting).toBe(2);
      await pool.use(() => sleep(1));
      setImmediate(() => dead.add(2));
      expect(await pool.use(({ id }) => id)).toBe(3);
    });
  });

  it('is not looked at twice when nothing can have come from it since', async () => {
    const pool = poolOf(new Server(), { max: 1, isUsable: () => true });
    await withRoot(async () => {
      // A look holds for a millisecond at most, which a busy machine may take; not each time.
      const turns: number[] = [];
      for (let round = 0; round < 20; round++) {
        await pool.use(() => {});
        let passed = 0;
        const count = () => void (passed++ < 10 && setImmediate(count));
        setImmediate(count);
        await pool.use(() => void turns.push(passed));
        await sleep(2);
      }
      expect(turns).toContain(0);
    });
  });

  it.each([
    ['something can have come from it since, however little time has passed', () => new Promise((resolve) => setImmediate(resolve))],
    ['the code that had it took long, though it waited for nothing', () => spin(2)],
  ])('is looked at again when %s', async (_, work) => {
    const pool = poolOf(new Server(), { max: 1, isUsable: () => true });
    await withRoot(async () => {
      const turns: number[] = [];
      for (let round = 0; round < 50; round++) {
        await pool.use(work);
        let passed = 0;
        const count = () => void (passed++ < 10 && setImmediate(count));
        setImmediate(count);
        await pool.use(() => void turns.push(passed));
      }
      expect(turns).not.toContain(0);
    });
  });

  it('is joined after a turn when nothing was heard of it just now', async () => {
    const dead = new Set<number>();
    const pool = poolOf(new Server(), { max: 2, maxSharers: 8, isUsable: ({ id }) => !dead.has(id) });
    await withRoot(async () => {
      const held = await pool.acquireShared();
      await sleep(5);
      setImmediate(() => dead.add(1));
      const joined = await Promise.all(Array.from({ length: 3 }, () => pool.acquireShared()));
      expect(joined.map(({ resource }) => resource.id)).toEqual([2, 2, 2]);
      for (const lease of [held, ...joined]) lease.release();
    });
  });

  it('is joined when it lives, with nobody refused meanwhile and none opened beside it', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2, maxSharers: 8, maxWaiters: 0, isUsable: () => true });
    await withRoot(async () => {
      const held = await pool.acquireShared();
      await sleep(5);
      const joined = await Promise.all(Array.from({ length: 7 }, () => pool.acquireShared()));
      expect(new Set(joined.map(({ resource }) => resource.id))).toEqual(new Set([1]));
      expect(server.made).toHaveLength(1);
      for (const lease of [held, ...joined]) lease.release();
      expect(pool.stats()).toMatchObject({ idle: 1, inUse: 0, pending: 0 });
    });
  });

  it('comes free while it is looked at, and closes with its pool', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, maxSharers: 8, isUsable: () => true });
    await withRoot(async () => {
      const held = await pool.acquireShared();
      await sleep(5);
      const joining = pool.acquireShared();
      held.release();
      const joined = await joining;
      joined.release();
      await sleep(5);
      const again = await pool.acquireShared();
      await sleep(5);
      const late = pool.acquireShared();
      const closing = pool.close({ graceMs: 0 });
      await expect(late).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
      again.release();
      await closing;
    });
    expect(server.open).toBe(0);
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

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
