import { describe, expect, test } from 'vitest';
import { withRoot, withScope } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { gate, poolOf, Server, turns } from '../support.ts';

describe('a waiter', () => {
  test('generic-pool d31, d37, knex#1702: is ended by its AbortSignal, leaves the line, and who comes after it is served', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const controller = new AbortController();
      const aborted = pool.acquire({ signal: controller.signal });
      const next = pool.acquire();
      expect(pool.stats().pending).toBe(2);
      const reason = new Error('the client has gone');
      const refusal = expect(aborted).rejects.toMatchObject({ code: 'ERR_ACQUIRE_ABORTED', cause: reason });
      controller.abort(reason);
      expect(pool.stats()).toMatchObject({ pending: 1, aborted: 1 });
      await refusal;
      held.release();
      // Nothing was handed to who has gone.
      (await next).release();
      expect(pool.stats()).toMatchObject({ pending: 0, inUse: 0, idle: 1, acquired: 2 });
    });
  });

  test('generic-pool d31: does not begin to wait when its signal has aborted', async () => {
    const server = new Server();
    const pool = poolOf(server);
    await withRoot(async () => {
      await expect(pool.acquire({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_ACQUIRE_ABORTED' });
      expect(pool.stats()).toMatchObject({ open: 0, pending: 0 });
    });
    expect(server.attempts).toBe(0);
  });

  test('generic-pool d31: keeps its lease when the signal aborts after it was served', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      const controller = new AbortController();
      const lease = await pool.acquire({ signal: controller.signal });
      controller.abort();
      await turns();
      expect(lease.ended).toBe(false);
      expect(pool.stats()).toMatchObject({ inUse: 1, aborted: 0 });
      expect(lease.resource.isOpen).toBe(true);
      lease.release();
    });
  });

  test('generic-pool d37: that timed out gets nothing later: the connection goes to who still waits', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const late = pool.acquire({ acquireTimeoutMs: 5 });
      const next = pool.acquire();
      await expect(late).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      expect(pool.stats()).toMatchObject({ pending: 1, timeouts: 1 });
      held.release();
      const lease = await next;
      expect(pool.stats()).toMatchObject({ inUse: 1, pending: 0 });
      lease.release();
    });
  });

  test('generic-pool d30: one more than maxWaiters is refused at once, and the others keep their places', async () => {
    const pool = poolOf(new Server(), { max: 1, maxWaiters: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = [pool.acquire(), pool.acquire()];
      const full = { code: 'ERR_POOL_TOO_MANY_WAITERS', facts: { pending: 2, inUse: 1, max: 1 } };
      await expect(pool.acquire()).rejects.toMatchObject(full);
      await expect(pool.use(() => {})).rejects.toMatchObject(full);
      held.release();
      for (const lease of waiting) (await lease).release();
      await pool.use(() => {});
    });
  });

  test('HikariCP#2192, #1232, #476: is served in the order of arrival, and not overtaken by who gives back and comes again', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 2 });
    await withRoot(async () => {
      const order: string[] = [];
      const note = (name: string) => () => void order.push(name);
      const greedy = async () => {
        for (let round = 0; round < 5; round++) await pool.use(note('greedy'));
      };
      const held = await pool.acquire();
      const patient = [pool.use(note('a')), pool.use(note('b')), pool.share(note('c')), pool.use(note('d'))];
      const all = Promise.all([...patient, greedy()]);
      held.release();
      await all;
      expect(order).toEqual(['a', 'b', 'c', 'd', ...Array.from({ length: 5 }, () => 'greedy')]);
    });
  });

  test('HikariCP#1909: none waits for ever while others hold in turn: 30 users of 3 connections each get their share', async () => {
    const pool = poolOf(new Server(), { max: 3 });
    await withRoot(async () => {
      const served = Array.from({ length: 30 }, () => 0);
      let most = 0;
      const user = async (number: number) => {
        for (let round = 0; round < 10; round++) {
          await pool.use(() => turns(1));
          served[number] = round + 1;
          most = Math.max(most, round + 1 - Math.min(...served));
        }
      };
      await Promise.all(served.map((_, number) => user(number)));
      // Whoever is served again has let everybody else pass.
      expect(most).toBeLessThanOrEqual(2);
    });
  });
});

describe('a timeout', () => {
  test('knex#4299, #2302, tarn#43, node-mssql#1770, HikariCP#1905: names pool, scope, fullness, and who holds what since which line', async () => {
    const pool = poolOf(new Server(), { max: 2, maxSharers: 2 });
    await withRoot(
      async () => {
        const held = [await pool.acquire(), await pool.acquireShared()];
        const error = await withScope(() => pool.acquire({ acquireTimeoutMs: 10 }), { name: 'job' }).catch((reason: Error) => reason);
        expect(error).toMatchObject({
          code: 'ERR_POOL_ACQUIRE_TIMEOUT',
          facts: { pool: pool.name, scope: 'emails', phase: 'waiting', max: 2, inUse: 2, idle: 0, pending: 1 },
        });
        const { message } = error as Error;
        expect(message).toContain(`pool "${pool.name}" of scope "emails"`);
        expect(message).toMatch(/held exclusively by scope "emails" for \d+ ms, since .*waiting\.test\.ts:\d+/);
        expect(message).toMatch(/held shared by scope "emails" for \d+ ms, since .*waiting\.test\.ts:\d+/);
        for (const lease of held) lease.release();
      },
      { name: 'emails' },
    );
  });

  test('knex#2246, uptime-kuma#5033: tells a full pool from one that cannot connect', async () => {
    const down = new Server();
    const refused = new Error('connect ECONNREFUSED');
    down.onCreate = () => (down.attempts > 100 ? new Promise(() => {}) : Promise.reject(refused));
    const full = poolOf(new Server(), { max: 1 });
    const options = { acquireTimeoutMs: 10 };
    await withRoot(async () => {
      const held = await full.acquire();
      const errors = [full.acquire(options), poolOf(down).acquire(options)].map((acquired) => acquired.catch((error: Error) => error));
      const [isFull, isDown] = await Promise.all(errors);
      expect(isFull).toMatchObject({ facts: { phase: 'waiting', inUse: 1 } });
      expect(isFull).not.toHaveProperty('cause');
      expect(isDown).toMatchObject({ facts: { phase: 'creating', inUse: 0 }, cause: refused });
      held.release();
    });
  });
});

describe('a nested acquire', () => {
  test('HikariCP#442, #1775, slick#1461: at max 1 is refused before its timeout, with an explanation, and the outer use goes on', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const outer = await pool.use(async (connection) => {
        const error = await pool.use(() => {}).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: 'ERR_POOL_DEADLOCK', facts: { max: 1, inUse: 1, pending: 1 } });
        expect((error as Error).message).toMatch(
          /deadlock.*the only connection.*work with the connection you were given.*or raise max.*waiting\.test\.ts:\d+/s,
        );
        return connection.isOpen;
      });
      expect(outer).toBe(true);
      expect(pool.stats()).toMatchObject({ pending: 0, inUse: 0, timeouts: 0 });
    });
  });

  test('authgear-server#1724, fortune-postgres#29: when max holders each want one more, one is refused and the others are served', async () => {
    const pool = poolOf(new Server(), { max: 3, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const all = gate();
      let held = 0;
      const nested = Array.from({ length: 3 }, () =>
        pool.use(async () => {
          if (++held === 3) all.open();
          await all.promise;
          return pool.use(() => 'served');
        }),
      );
      const ended = await Promise.allSettled(nested);
      expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
      expect(ended.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'ERR_POOL_DEADLOCK' } });
    });
  });

  test('HikariCP#442: in many parallel loops that only look like a deadlock, nobody is refused', async () => {
    const pool = poolOf(new Server(), { max: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const loop = async () => {
        for (let round = 0; round < 5; round++) await pool.use(() => turns(1));
      };
      await Promise.all(Array.from({ length: 50 }, loop));
      await until(() => pool.stats().idle === 2);
      expect(pool.stats().acquired).toBe(250);
    });
  });
});
