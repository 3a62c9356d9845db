import { describe, expect, it } from 'vitest';
import { withRoot } from '../../src/index.ts';
import type { Priority } from '../../src/pool/waiter.ts';
import { until } from '../support/until.ts';
import { Script } from './scripted.ts';
import { gate, poolOf, Server, turns } from './support.ts';

/** A pool of one connection, which is held, and a way to let somebody wait who notes when it is served. */
async function withLine(
  fn: (line: { wait(name: string, priority?: Priority): Promise<void>; order: string[] }) => void,
): Promise<string[]> {
  const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
  const order: string[] = [];
  const all: Promise<void>[] = [];
  await withRoot(async () => {
    const held = await pool.acquire();
    const wait = (name: string, priority?: Priority) => {
      const served = pool.use(() => void order.push(name), { priority });
      all.push(served);
      return served;
    };
    fn({ wait, order });
    held.release();
    await Promise.all(all);
  });
  return order;
}

describe('priority', () => {
  it('serves high before normal before low, and each in the order of arrival', async () => {
    const order = await withLine(({ wait }) => {
      wait('l1', 'low');
      wait('n1');
      wait('h1', 'high');
      wait('l2', 'low');
      wait('n2', 'normal');
      wait('h2', 'high');
    });
    expect(order).toEqual(['h1', 'h2', 'n1', 'n2', 'l1', 'l2']);
  });

  it('serves after seven who came later the one who came first', async () => {
    const order = await withLine(({ wait }) => {
      wait('low', 'low');
      wait('normal');
      for (let place = 1; place <= 20; place++) wait(`${place}`, 'high');
    });
    const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, place) => `${from + place}`);
    expect(order).toEqual([...numbers(1, 7), 'low', ...numbers(8, 14), 'normal', ...numbers(15, 20)]);
  });

  it('counts only such in a row as overtake: who came first in between begins the count anew', async () => {
    const order = await withLine(({ wait }) => {
      wait('high 0', 'high');
      wait('low', 'low');
      for (let place = 1; place <= 8; place++) wait(`high ${place}`, 'high');
    });
    expect(order.indexOf('low')).toBe(8);
  });

  it('is the same for sharers, and for them and such as want one alone', () => {
    const script = new Script(1, 1);
    script.warm(1);
    script.acquire('exclusive');
    const [low, normal, high] = [
      script.acquire('exclusive', undefined, 'low'),
      script.acquire('shared'),
      script.acquire('exclusive', undefined, 'high'),
    ];
    const order = [high, normal, low];
    for (const next of order) {
      script.releaseNewest();
      expect(script.waiters).not.toContain(next);
      script.verify();
    }
  });

  it('lets who holds a connection already go first, however low, and however many were served before others', async () => {
    const pool = poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 });
    const order: string[] = [];
    await withRoot(async () => {
      const other = await pool.acquire();
      const inside = gate();
      const nested = pool.use(async () => {
        await inside.promise;
        for (let round = 0; round < 12; round++) await pool.use(() => void order.push('nested'), { priority: 'low' });
      });
      await until(() => pool.stats().inUse === 2);
      const first = pool.use(() => void order.push('first'));
      const high = pool.use(() => void order.push('high'), { priority: 'high' });
      inside.open();
      await until(() => pool.stats().pending === 3);
      expect(pool.inspect().waiters.map(({ priority }) => priority)).toEqual(['nested', 'high', 'normal']);
      other.release();
      await Promise.all([nested, first, high]);
    });
    expect(order[0]).toBe('nested');
    expect(order.indexOf('high')).toBeLessThan(order.indexOf('first'));
  });

  it('lets who holds a connection go first even when somebody has been passed over seven times, and counts it not as one more', () => {
    const script = new Script(2);
    script.warm(2);
    script.acquire('exclusive');
    const [keeper] = script.holders;
    script.acquire('exclusive');
    const low = script.acquire('exclusive', undefined, 'low');
    for (let place = 0; place < 8; place++) script.acquire('exclusive', undefined, 'high');
    const serveNext = () => script.releaseNewest();
    for (let round = 0; round < 7; round++) serveNext();
    for (let round = 0; round < 3; round++) {
      const nested = script.acquire('exclusive', keeper);
      serveNext();
      expect(script.waiters).not.toContain(nested);
      expect(script.waiters).toContain(low);
    }
    serveNext();
    expect(script.waiters).not.toContain(low);
    // Eight nested ones say nothing about those who wait in line.
    const [normal, high] = [script.acquire('exclusive'), script.acquire('exclusive', undefined, 'high')];
    serveNext();
    for (let round = 0; round < 8; round++) {
      script.acquire('exclusive', keeper);
      serveNext();
    }
    serveNext();
    expect(script.waiters).not.toContain(high);
    expect(script.waiters).toEqual([normal]);
  });

  it('does not count as served who is refused under overload: the next of the same rank is, in its place', () => {
    const script = new Script(1);
    script.warm(1);
    script.acquire('exclusive');
    const low = Array.from({ length: 4 }, () => script.acquire('exclusive', undefined, 'low'));
    for (let place = 0; place < 9; place++) script.acquire('exclusive', undefined, 'high');
    for (const late of low.slice(0, 3)) if (late) script.late.add(late);
    for (let round = 0; round < 7; round++) script.releaseNewest();
    expect(script.waiters).toEqual(expect.arrayContaining(low));
    script.releaseNewest();
    for (const gone of low) expect(script.waiters).not.toContain(gone);
    expect(script.waiters).toHaveLength(2);
    script.verify();
  });

  it('hands on what one refused leaves behind without calling it idle, and so without a check', () => {
    const script = new Script(1);
    const [slot] = script.warm(1);
    script.acquire('exclusive');
    const [late, next] = [script.acquire('exclusive'), script.acquire('exclusive')];
    if (late) script.late.add(late);
    script.releaseNewest();
    expect(script.waiters).not.toContain(next);
    expect(script.holders).toMatchObject([{ slot }]);
    expect(slot?.provenAt).toBe(Number.POSITIVE_INFINITY);
  });

  it('forgets who has gone: an aborted one is not served in the place of the earliest', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const controller = new AbortController();
      const gone = expect(pool.acquire({ priority: 'low', signal: controller.signal })).rejects.toThrow();
      const high = pool.acquire({ priority: 'high' });
      const low = pool.acquire({ priority: 'low' });
      controller.abort();
      await gone;
      held.release();
      (await high).release();
      (await low).release();
      expect(pool.stats()).toMatchObject({ pending: 0, aborted: 1, acquired: 3 });
    });
  });

  it('counts how long those who were served had waited, and those alone', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const before = pool.stats().waitMs;
      await expect(pool.acquire({ acquireTimeoutMs: 10 })).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      expect(pool.stats()).toMatchObject({ waitMs: before, waited: 2 });
      const since = performance.now();
      const waiting = [pool.acquire(), pool.acquire()];
      await until(() => performance.now() > since + 60);
      await turns(1);
      held.release();
      for (const lease of waiting) (await lease).release();
      // The clock that it goes by is up to 10 ms slow at both ends.
      expect(pool.stats().waitMs - before).toBeGreaterThan(2 * 40);
      expect(pool.stats().waited).toBe(4);
    });
  });

  it('is refused when it is none of the three', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await expect(pool.acquire({ priority: 'urgent' as Priority })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
    });
  });
});
