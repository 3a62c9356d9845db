import { describe, expect, it, test } from 'vitest';
import { InvalidOptionError, NoScopeError, type Pool, withRoot, withScope } from '../../src/index.ts';
import type { Slot } from '../../src/pool/slot.ts';
import { until } from '../support/until.ts';
import { Script } from './scripted.ts';
import { type Connection, gate, poolOf, Server, turns } from './support.ts';

/** Has that many connections opened at once, and given back. */
function open(pool: Pool<Connection>, count: number): Promise<unknown> {
  return Promise.all(Array.from({ length: count }, () => pool.use(() => turns(2))));
}

const times = (count: number, fn: () => void) => Array.from({ length: count }, fn);

describe('Scheduler.resize', () => {
  it('opens for those who wait when it grows, and no more than they want', () => {
    const script = new Script(1);
    times(3, () => script.acquire('exclusive'));
    script.resize(9);
    expect(script.creating).toHaveLength(3);
  });

  it('closes what was idle longest when it shrinks, and no more than must be', () => {
    const script = new Script(4);
    script.warm(4);
    times(4, () => script.acquire('exclusive'));
    const used = script.holders.map(({ slot }) => slot);
    times(4, () => script.release(script.holders[0]));
    script.resize(2);
    expect(script.closing).toEqual(used.slice(0, 2));
    expect(used[0]?.reason).toBe('resized');
    script.resize(2);
    expect(script.closing).toHaveLength(2);
    script.verify();
  });

  it('closes idle ones before held ones, and those when they are released, the least held first', () => {
    const script = new Script(4, 3);
    script.warm(4);
    times(5, () => script.acquire('shared'));
    script.acquire('exclusive');
    const [full, half, alone] = [...new Set(script.holders.map(({ slot }) => slot))] as [Slot<number>, Slot<number>, Slot<number>];
    script.resize(1);
    expect(script.states.toSorted()).toEqual(['closing', 'retiring', 'retiring', 'shared']);
    expect([full.state, half.state, alone.state]).toEqual(['shared', 'retiring', 'retiring']);
    script.release(script.holders.find(({ slot }) => slot === alone));
    expect(alone.state).toBe('closing');
    script.verify();
  });

  it('counts what is on its way out already', () => {
    const script = new Script(4);
    const [first, second] = script.warm(4) as [Slot<number>, Slot<number>];
    script.scheduler.retire(first, 'idle');
    script.scheduler.retire(second, 'idle');
    script.resize(2);
    expect(script.closing).toEqual([first, second]);
  });

  it('serves those for whom connections were being created, and comes down as they leave', () => {
    const script = new Script(4);
    times(4, () => script.acquire('exclusive'));
    script.resize(2);
    script.verify();
    while (script.creating.length > 0) script.arrive();
    expect(script.holders).toHaveLength(4);
    expect(script.states.toSorted()).toEqual(['exclusive', 'exclusive', 'retiring', 'retiring']);
    script.acquire('exclusive');
    times(4, () => script.release(script.holders[0]));
    while (script.closing.length > 0) script.closed();
    script.verify();
    expect(script.waiters).toEqual([]);
    expect(script.scheduler.open).toBe(2);
  });

  it('closes what is created too late, when nobody wants it', () => {
    const script = new Script(2);
    script.scheduler.growTo(2);
    script.resize(1);
    script.arrive();
    script.arrive();
    expect(script.states.toSorted()).toEqual(['closing', 'free']);
    script.verify();
  });

  it('closes what is being checked, for which somebody waits, who is then served by the next', () => {
    const script = new Script(2);
    const [stale, held] = script.warm(2) as [Slot<number>, Slot<number>];
    script.acquire('exclusive');
    const other = script.holders[0]?.slot === held ? stale : held;
    script.stale.add(other);
    script.acquire('exclusive');
    expect(script.checking).toEqual([other]);
    script.resize(1);
    expect(other).toMatchObject({ state: 'closing', reason: 'resized' });
    script.checked(true);
    script.verify();
    script.closed();
    script.releaseNewest();
    expect(script.waiters).toEqual([]);
    script.verify();
  });

  it('does not take back, when it grows again, what is on its way out, but opens more in its place', () => {
    const script = new Script(2);
    script.warm(2);
    times(2, () => script.acquire('exclusive'));
    script.resize(1);
    script.resize(2);
    script.acquire('exclusive');
    expect(script.states.toSorted()).toEqual(['exclusive', 'retiring']);
    script.release(script.holders.find(({ slot }) => slot.state === 'retiring'));
    script.closed();
    expect(script.creating).toHaveLength(1);
    script.verify();
  });
});

describe('pool.resize()', () => {
  test('generic-pool d35, tarn#55, typeorm#8174: who waits is served at once when it grows, and nobody is cut off when it shrinks', async () => {
    const server = new Server();
    server.onDestroy = () => turns(1);
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      const leases = [await pool.acquire()];
      const waiting = [pool.acquire(), pool.acquire()];
      pool.resize(3);
      leases.push(...(await Promise.all(waiting)));
      pool.resize(1);
      expect(pool.stats()).toMatchObject({ max: 1, open: 3, inUse: 3 });
      const next = pool.acquire();
      await turns();
      expect(leases.map(({ resource }) => resource.isOpen)).toEqual([true, true, true]);
      for (const lease of leases) lease.release();
      (await next).release();
      await until(() => pool.stats().open === 1);
      expect(pool.stats()).toMatchObject({ created: 3, closedBy: { resized: 2 } });
    });
    expect(server.peak).toBe(3);
  });

  it('never has more open than the larger max while it changes, and comes down, whatever goes on', async () => {
    const server = new Server();
    server.onCreate = () => turns(1);
    server.onDestroy = () => turns(2);
    const pool = poolOf(server, { max: 4 });
    await withRoot(async () => {
      let isOver = false;
      const user = async () => {
        while (!isOver) await pool.use(() => turns(1));
      };
      const users = Array.from({ length: 12 }, user);
      for (const [max, peak] of [
        [4, 4],
        [2, 4],
        [6, 6],
        [1, 6],
      ] as const) {
        pool.resize(max);
        await until(() => server.peak === peak && pool.stats().open === max);
      }
      isOver = true;
      await Promise.all(users);
    });
    expect(server.peak).toBe(6);
  });

  it('keeps no more than max open where min is more, without opening and closing all the time', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 4, min: 3, idleTimeoutMs: 5 });
    await withRoot(async () => {
      await pool.use(() => {});
      await until(() => pool.stats().idle === 3);
      pool.resize(2);
      await until(() => pool.stats().open === 2);
      const since = performance.now();
      await until(() => performance.now() - since > 25);
      expect(pool.stats()).toMatchObject({ open: 2, idle: 2, created: 3, closedBy: { resized: 1, idle: 0 } });
      pool.resize(4);
      await until(() => pool.stats().idle === 3);
    });
  });

  it('lets what is created when there is no more room for it go at once', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 3, min: 3 });
    await withRoot(async () => {
      const creating = gate();
      server.onCreate = () => (server.attempts > 1 ? creating.promise : undefined);
      await pool.use(() => {});
      await until(() => server.attempts === 3);
      pool.resize(1);
      creating.open();
      await until(() => pool.stats().open === 1);
      expect(pool.stats()).toMatchObject({ idle: 1, created: 3, closedBy: { resized: 2 } });
    });
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3', undefined])('refuses %s and changes nothing', async (max) => {
    const pool = poolOf(new Server(), { max: 2 });
    await withRoot(async () => {
      expect(() => pool.resize(max as number)).toThrow(InvalidOptionError);
      expect(pool.stats().max).toBe(2);
    });
  });

  it('is for the current root alone, also when it comes before the first use, and outranks the limit of that root', async () => {
    const pool = poolOf(new Server(), { max: 3 });
    expect(() => pool.resize(2)).toThrow(NoScopeError);
    await withRoot(
      async () => {
        await withScope(() => pool.resize(1));
        expect(pool.stats()).toMatchObject({ max: 1, open: 0 });
        await withRoot(async () => {
          await open(pool, 4);
          expect(pool.stats()).toMatchObject({ max: 3, open: 3 });
        });
        await open(pool, 4);
        expect(pool.stats()).toMatchObject({ max: 1, open: 1 });
      },
      { limits: { [pool.name]: 2 } },
    );
  });

  it('opens nothing in a pool that is closed', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1, min: 1 });
    await withRoot(async () => {
      await pool.use(() => {});
      await pool.close();
      pool.resize(5);
      await turns();
      expect(server.attempts).toBe(1);
    });
  });

  it('does not leave who waits inside a lease to the timeout, when there is no other connection for it any more', async () => {
    const pool = poolOf(new Server(), { max: 2 });
    await withRoot(async () => {
      const first = await pool.acquire();
      await pool.use(async () => {
        const nested = pool.acquire();
        pool.resize(1);
        first.release();
        await expect(nested).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      });
      await pool.use(() => {});
    });
  });

  it('does not leave who waits inside a lease to the timeout, when the other connection could not be made either', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(async () => {
        const creating = gate();
        server.onCreate = () => creating.promise;
        const nested = pool.acquire();
        await turns();
        pool.resize(1);
        creating.fail(new Error('connect ECONNREFUSED'));
        await expect(nested).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      });
    });
  });
});
