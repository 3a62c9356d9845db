import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { withRoot } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { gate, poolOf, Server, turns } from '../support.ts';

const refused = new Error('connect ECONNREFUSED');

/** Writes down when it was asked, and always fails. */
class Down extends Server {
  readonly askedAt: number[] = [];

  constructor(fail: () => unknown = () => Promise.reject(refused)) {
    super();
    this.onCreate = () => {
      this.askedAt.push(performance.now());
      // A pool that asks without a pause would never let go of the test.
      return this.attempts > 2_000 ? new Promise(() => {}) : fail();
    };
  }
}

/** How many timers keep the process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

/** How many turns of setImmediate fit in 15 ms of this process: whatever else the machine does then does not count. */
async function turnsMade(): Promise<number> {
  const began = process.cpuUsage();
  let count = 0;
  for (let used = 0; used < 15_000; count++) {
    await turn();
    const { user, system } = process.cpuUsage(began);
    used = user + system;
  }
  return count;
}

describe('a create that always fails', () => {
  test('generic-pool d01, node-pool#175, #183, #161, #273, #197: it is tried once per step of the backoff, and who waits gets the cause', async () => {
    const server = new Down();
    const pool = poolOf(server, { max: 8, acquireTimeoutMs: 120 });
    await withRoot(async () => {
      const all = await Promise.allSettled(Array.from({ length: 40 }, () => pool.acquire()));
      const timeout = { code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: refused, facts: { phase: 'creating', inUse: 0 } };
      expect(all).toMatchObject(all.map(() => ({ reason: timeout })));
      expect(pool.stats()).toMatchObject({ open: 0, pending: 0, timeouts: 40 });
    });
    // Eight begin together. Then at least 25, 50, 100 ms pass, and one is tried.
    const [first = 0, second = 0, third = Number.POSITIVE_INFINITY, ...more] = server.askedAt.slice(7);
    expect(second - first).toBeGreaterThanOrEqual(24);
    expect(third - second).toBeGreaterThanOrEqual(49);
    expect(more.length).toBeLessThanOrEqual(1);
  });

  test.each([
    ['d01: in a microtask', () => Promise.reject(refused)],
    ['d01b: a turn later', () => turns(1).then(() => Promise.reject(refused))],
  ])('generic-pool %s, it leaves the event loop at least 0.8 of its turns', async (_, fail) => {
    let [alone, beside, rounds] = [0, 0, 0];
    await withRoot(async () => {
      // The best of some rounds: what disturbs one of them is not the pool.
      while (rounds++ < 4 || (rounds < 40 && beside < 0.8 * alone)) {
        alone = Math.max(alone, await turnsMade());
        const pool = poolOf(new Down(fail), { max: 8 });
        const waiting = Promise.allSettled(Array.from({ length: 8 }, () => pool.acquire()));
        beside = Math.max(beside, await turnsMade());
        await pool.close();
        await waiting;
      }
    });
    expect(beside).toBeGreaterThanOrEqual(0.8 * alone);
  });

  test.each([
    ['d01b: rejects', () => Promise.reject(refused)],
    [
      'd04: throws',
      () => {
        throw refused;
      },
    ],
  ])('generic-pool %s, and acquire() rejects with the reason, throws nothing and leaves nobody in line', async (_, fail) => {
    let attempts = 0;
    const create = () => (++attempts > 100 ? new Promise<never>(() => {}) : fail());
    const pool = poolOf(new Server(), { create, createTimeoutMs: 5, acquireTimeoutMs: 20 });
    await withRoot(async () => {
      const acquired = pool.acquire();
      await expect(acquired).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: refused });
      expect(pool.stats()).toMatchObject({ open: 0, pending: 0 });
    });
  });

  test('generic-pool d02: it is not tried any more once nobody waits', async () => {
    const server = new Down();
    const pool = poolOf(server, { max: 2, acquireTimeoutMs: 5 });
    const clock = new Down();
    await withRoot(async () => {
      await pool.acquire().catch(() => {});
      const { attempts } = server;
      // Its second step is over before the third of the other pool.
      await poolOf(clock, { acquireTimeoutMs: 400 })
        .acquire()
        .catch(() => {});
      expect(clock.attempts).toBeGreaterThanOrEqual(3);
      expect(server.attempts).toBe(attempts);
    });
  });

  test('generic-pool d01: pools that failed together do not come back in step', async () => {
    const jitter = vi.spyOn(Math, 'random');
    onTestFinished(() => jitter.mockRestore());
    const order: string[] = [];
    const waitFor = async (name: string, spread: number) => {
      jitter.mockReturnValue(spread);
      const server = new Down(() => Promise.reject(refused));
      const waiting = poolOf(server, { onDead: undefined, create: (context) => server.create(context).finally(() => order.push(name)) });
      const timedOut = waiting.acquire({ acquireTimeoutMs: 70 }).catch(() => {});
      await turns();
      return () => timedOut;
    };
    await withRoot(async () => {
      const early = await waitFor('early', 0);
      setTimeout(() => order.push('37 ms later'), 37);
      const late = await waitFor('late', 0.999);
      await Promise.all([early(), late()]);
    });
    // Of a first step of 50 ms one waits half, the other all. Timers ring in their order, however late.
    const again = (name: string) => order.indexOf(name, order.indexOf(name) + 1);
    const between = order.indexOf('37 ms later');
    expect(again('early')).toBeGreaterThan(0);
    expect(again('early')).toBeLessThan(between);
    expect(again('late')).toBeGreaterThan(between);
  });

  test('generic-pool d38, node-pool#159: close() ends, and nothing is tried any more', async () => {
    const server = new Down();
    const pool = poolOf(server, { max: 2, acquireTimeoutMs: Number.POSITIVE_INFINITY });
    await withRoot(async () => {
      const waiting = pool.acquire();
      const refusal = expect(waiting).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
      await until(() => server.attempts === 2);
      const before = timers();
      await pool.close({ graceMs: Number.POSITIVE_INFINITY });
      // Nor does one for the next step keep the process alive.
      expect(timers()).toBe(before - 1);
      await refusal;
    });
    const { attempts } = server;
    const clock = new Down();
    await withRoot(() =>
      poolOf(clock, { acquireTimeoutMs: 250 })
        .acquire()
        .catch(() => {}),
    );
    expect(clock.attempts).toBeGreaterThanOrEqual(3);
    expect(server.attempts).toBe(attempts);
  });
});

describe('a create that hangs', () => {
  test('generic-pool d08: it is given up after createTimeoutMs, its place serves another, and what arrives late is destroyed', async () => {
    const server = new Server();
    const late = gate();
    let signalled: unknown;
    server.onCreate = (signal) => {
      if (server.attempts > 1) return undefined;
      signal.addEventListener('abort', () => (signalled = signal.reason));
      return late.promise;
    };
    const pool = poolOf(server, { max: 1, createTimeoutMs: 15 });
    await withRoot(async () => {
      const lease = await pool.acquire();
      expect(signalled).toMatchObject({ code: 'ERR_FACTORY_TIMEOUT' });
      expect(server.made).toHaveLength(1);
      late.open();
      await until(() => server.made.length === 2 && server.open === 1);
      expect(lease.resource.isOpen).toBe(true);
      lease.release();
      expect(pool.stats()).toMatchObject({ open: 1, created: 1, createFailed: 1 });
    });
  });

  test('generic-pool d08: close() does not wait for it, aborts its signal, and destroys what arrives late', async () => {
    const server = new Server();
    const late = gate();
    let signalled: unknown;
    server.onCreate = (signal) => {
      signal.addEventListener('abort', () => (signalled = signal.reason));
      return late.promise;
    };
    const pool = poolOf(server);
    await withRoot(async () => {
      const waiting = pool.acquire().catch((error: unknown) => error);
      await until(() => server.attempts === 1);
      const before = timers();
      await pool.close();
      // Gone is the deadline of who waited.
      expect(timers()).toBe(before - 1);
      expect(await waiting).toMatchObject({ code: 'ERR_POOL_CLOSED' });
      expect(signalled).toMatchObject({ code: 'ERR_POOL_CLOSED' });
    });
    late.open();
    await until(() => server.made.length === 1 && server.open === 0);
  });
});

describe('a connection that nobody waits for any more', () => {
  test.each([
    ['generic-pool d23', 'aborted'],
    ['node-postgres#3543, knex#1694, #1382', 'timed out'],
  ])('%s: it is lent to the next when all who waited have %s, and does not leak', async (_, how) => {
    const server = new Server();
    const slow = gate();
    server.onCreate = () => slow.promise;
    const pool = poolOf(server, { max: 3 });
    await withRoot(async () => {
      const controller = new AbortController();
      const options = how === 'aborted' ? { signal: controller.signal } : { acquireTimeoutMs: 5 };
      const waiting = Promise.allSettled([pool.acquire(options), pool.acquire(options), pool.acquire(options)]);
      await until(() => server.attempts === 3);
      controller.abort();
      expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      slow.open();
      await until(() => pool.stats().idle === 3);
      await Promise.all([pool.use(() => turns(1)), pool.use(() => turns(1)), pool.use(() => turns(1))]);
      expect(pool.stats()).toMatchObject({ open: 3, created: 3, inUse: 0 });
    });
    expect(server.open).toBe(0);
  });
});

test('generic-pool d24: 50 who can share begin one create, not 50', async () => {
  const server = new Server();
  server.onCreate = () => turns(1);
  const pool = poolOf(server, { max: 50, maxSharers: Number.POSITIVE_INFINITY });
  await withRoot(() => Promise.all(Array.from({ length: 50 }, () => pool.share(() => turns(1)))));
  expect(server.attempts).toBe(1);
});
