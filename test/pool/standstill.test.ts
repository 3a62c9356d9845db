import { AsyncResource } from 'node:async_hooks';
import { describe, expect, it, vi } from 'vitest';
import { type Pool, withRoot } from '../../src/index.ts';
import { Standstill } from '../../src/pool/standstill.ts';
import { until } from '../support/until.ts';
import { type Connection, poolOf, Server, turns } from './support.ts';

/** How much later the wall clock is than it was, as if the process had stood still meanwhile. */
const stood = vi.hoisted(() => ({ ms: 0 }));

vi.mock(import('../../src/clock.ts'), async (original) => ({ ...(await original()), wallTime: () => Date.now() + stood.ms }));

const standStill = (ms = 2_500) => {
  stood.ms += ms;
};

/** A pool of two, which trusts its connections for an hour; those in `dead` died without a word. */
function trustingPool(max: number, maxSharers = 1) {
  const server = new Server();
  const dead = new Set<number>();
  const asked: number[] = [];
  const validate = ({ id }: Connection) => {
    asked.push(id);
    return !dead.has(id);
  };
  const pool = poolOf(server, { max, maxSharers, validate, validateAfterIdleMs: 3_600_000 });
  return { server, dead, asked, pool };
}

const open = (pool: Pool<Connection>, count: number) => Promise.all(Array.from({ length: count }, () => pool.use(() => turns(2))));

describe('after a standstill', () => {
  it('checks idle connections before they are lent again, whatever validateAfterIdleMs, each once', async () => {
    const { pool, asked } = trustingPool(2);
    await withRoot(async () => {
      await open(pool, 2);
      expect(asked).toEqual([]);
      standStill();
      expect(pool.tryAcquire()).toBeUndefined();
      await Promise.all([pool.use(() => turns(2)), pool.use(() => turns(2))]);
      expect(asked.toSorted()).toEqual([1, 2]);
      await open(pool, 2);
      expect(asked).toHaveLength(2);
    });
  });

  it('lends none that died meanwhile', async () => {
    const { pool, dead, server } = trustingPool(2);
    await withRoot(async () => {
      await open(pool, 2);
      for (const { id } of server.made) dead.add(id);
      standStill();
      await Promise.all([1, 2, 3].map(() => pool.use(({ id }) => expect(dead).not.toContain(id))));
      expect(pool.stats().closedBy.invalid).toBe(2);
    });
    expect(server.peak).toBe(2);
  });

  it('checks what was held meanwhile when it comes back, also before it is handed on', async () => {
    const { pool, dead } = trustingPool(1);
    await withRoot(async () => {
      const held = await pool.acquire();
      standStill();
      const next = pool.acquire();
      dead.add(1);
      held.release();
      const lease = await next;
      expect(lease.resource.id).toBe(2);
      lease.release();
    });
  });

  it('suspects what was open then, and nothing that was opened since', async () => {
    const { pool, asked } = trustingPool(2);
    await withRoot(async () => {
      await pool.use(() => {});
      standStill();
      await open(pool, 2);
      await open(pool, 2);
      expect(asked).toEqual([1]);
    });
  });

  it('takes a check by keepalive for as good as one on the way to a holder', async () => {
    const asked: number[] = [];
    const validate = ({ id }: Connection) => void asked.push(id);
    const pool = poolOf(new Server(), { max: 1, validate, keepaliveMs: 10, validateAfterIdleMs: 3_600_000 });
    await withRoot(async () => {
      await pool.use(() => {});
      standStill();
      expect(pool.tryAcquire()).toBeUndefined();
      // The next check is due 10 ms later: on a busy machine before anybody asks here.
      const lease = await until(() => asked.length > 0 && pool.tryAcquire());
      expect(lease.resource.id).toBe(1);
      lease.release();
    });
  });

  it('lets shared connections drain, which cannot be checked, and lends others to whoever comes', async () => {
    const { pool, asked } = trustingPool(2, 4);
    await withRoot(async () => {
      await open(pool, 2);
      const first = await pool.acquireShared();
      standStill();
      // Whoever comes across an idle one notices, and so does the beat.
      expect(pool.tryAcquire()).toBeUndefined();
      const { id } = first.resource;
      const [second, third] = await Promise.all([pool.acquireShared(), pool.acquireShared()]);
      expect(second.resource.id).toBe(3 - id);
      expect(third.resource).toBe(second.resource);
      expect(asked).toEqual([3 - id]);
      expect(first.resource.isOpen).toBe(true);
      first.release();
      await until(() => pool.stats().open === 1);
      expect(pool.stats().closedBy).toMatchObject({ suspect: 1 });
      for (const lease of [second, third]) lease.release();
    });
  });

  it('puts nobody on a connection that somebody shares, when nobody has come across an idle one and no beat has come', async () => {
    const { pool } = trustingPool(2, 4);
    await withRoot(async () => {
      const first = await pool.acquireShared();
      standStill();
      const second = await pool.acquireShared();
      expect(second.resource).not.toBe(first.resource);
      first.release();
      second.release();
    });
  });

  it('lets who shares such a connection share it again, inside: it cannot drain before', async () => {
    const { pool } = trustingPool(2, 4);
    await withRoot(async () => {
      const outside = AsyncResource.bind(<R>(fn: () => R): R => fn());
      await open(pool, 2);
      await pool.share(async ({ id: outer }) => {
        standStill();
        expect(pool.tryAcquire()).toBeUndefined();
        await pool.share(({ id }) => expect(id).toBe(outer));
        // A stranger does not come from inside.
        const stranger = await outside(() => pool.acquireShared());
        expect(stranger.resource.id).toBe(3 - outer);
        expect(pool.inspect().connections.map(({ state }) => state)).toContain('retiring');
        await pool.share(({ id }) => expect(id).toBe(outer));
        stranger.release();
      });
      await until(() => pool.stats().closedBy.suspect === 1);
    });
  });

  it('suspects nothing where nothing can be checked', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 2 });
    await withRoot(async () => {
      const lease = await pool.acquireShared();
      standStill();
      await pool.share(({ id }) => expect(id).toBe(1));
      lease.release();
      expect(pool.tryAcquire()?.release()).toBeUndefined();
      expect(pool.stats()).toMatchObject({ idle: 1, closed: 0 });
    });
  });
});

describe('Standstill', () => {
  function watched() {
    const ends: number[] = [];
    const standstill = new Standstill(
      () => true,
      () => ends.push(stood.ms),
    );
    standstill.start();
    return { standstill, ends };
  }

  it('ends once each time, and only when it was longer than a beat that is late', () => {
    const { standstill, ends } = watched();
    standstill.look();
    standStill(1_900);
    standstill.look();
    expect(ends).toEqual([]);
    standStill(2_100);
    standstill.look();
    standstill.look();
    expect(ends).toHaveLength(1);
    standStill(2_100);
    standstill.look();
    expect(ends).toHaveLength(2);
    standstill.stop();
  });

  it('is no standstill that the clock is set back', () => {
    const { standstill, ends } = watched();
    standStill(-3_600_000);
    standstill.look();
    expect(ends).toEqual([]);
    standstill.stop();
  });
});
