import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { definePool, withRoot } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { gate, poolName, poolOf, Server, turns } from '../support.ts';

describe('validate', () => {
  const alwaysStale = { max: 1, validateAfterIdleMs: 0 };

  test.each([
    ['d05: rejects', () => Promise.reject(new Error('gone'))],
    [
      'd06: throws',
      () => {
        throw new Error('gone');
      },
    ],
    ['d07: hangs', () => new Promise(() => {})],
    ['returns false', () => false],
  ])('generic-pool %s: the connection is replaced, its place stays of use, and nothing is unhandled', async (_, validate) => {
    const server = new Server();
    const pool = poolOf(server, { ...alwaysStale, validate, validateTimeoutMs: 10 });
    await withRoot(async () => {
      // An unhandled rejection would fail the test.
      for (let id = 1; id <= 3; id++) await pool.use((connection) => expect(connection.id).toBe(id));
      expect(pool.stats()).toMatchObject({ open: 1, closedBy: { invalid: 2 } });
    });
    expect(server.peak).toBe(1);
  });

  test('knex#3523, #5186, aredis#48: one that was idle for validateAfterIdleMs is asked before it is lent, a fresher one is not', async () => {
    const asked: string[] = [];
    const tired = poolOf(new Server(), { validateAfterIdleMs: 15, validate: () => void asked.push('tired') });
    const fresh = poolOf(new Server(), { validateAfterIdleMs: 60_000, validate: () => void asked.push('fresh') });
    await withRoot(async () => {
      await Promise.all([tired.use(() => {}), fresh.use(() => {})]);
      const idleSince = performance.now();
      await until(() => performance.now() - idleSince > 15);
      await Promise.all([tired.use(() => {}), fresh.use(() => {})]);
    });
    expect(asked).toEqual(['tired']);
  });

  test('knex#3447: of many that died while they were idle none is handed out', async () => {
    const server = new Server();
    const dead = new Set<number>();
    const pool = poolOf(server, { max: 5, validateAfterIdleMs: 0, validate: ({ id }) => !dead.has(id) });
    await withRoot(async () => {
      await Promise.all(Array.from({ length: 5 }, () => pool.use(() => turns(2))));
      expect(pool.stats().idle).toBe(5);
      for (const { id } of server.made) dead.add(id);
      await Promise.all(Array.from({ length: 20 }, () => pool.use(({ id }) => expect(dead).not.toContain(id))));
    });
    expect(server.peak).toBe(5);
  });
});

describe('a connection that dies by itself', () => {
  test('generic-pool k, node-pool#155, #168, #241, #100: while it is idle, it leaves the pool and is never lent again', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 2 });
    await withRoot(async () => {
      await pool.use(() => {});
      server.last?.die(new Error('reset by peer'));
      await until(() => server.open === 0);
      expect(pool.stats()).toMatchObject({ open: 0, idle: 0, closedBy: { dead: 1 } });
      await pool.use((connection) => expect(connection.id).toBe(2));
    });
  });

  test('generic-pool k: while it is held, it is replaced when it comes back', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      await pool.use((connection) => {
        connection.die(new Error('reset by peer'));
        connection.die();
        expect(connection.isOpen).toBe(true);
      });
      await pool.use((connection) => expect(connection.id).toBe(2));
      expect(pool.stats().closedBy.dead).toBe(1);
    });
  });

  test('generic-pool k: one that isUsable finds dead is not served, though nobody reported it', async () => {
    const server = new Server();
    const dead = new Set<number>();
    const pool = poolOf(server, { max: 3, isUsable: ({ id }) => !dead.has(id) });
    await withRoot(async () => {
      await Promise.all([pool.use(() => turns(2)), pool.use(() => turns(2))]);
      for (const { id } of server.made) dead.add(id);
      await pool.use(({ id }) => expect(id).toBe(3));
      await until(() => pool.stats().closedBy.dead === 2);
    });
  });

  test("node-postgres#1324, #3202, #2439: an idle connection's 'error' event ends the connection, not the process", async () => {
    const made: EventEmitter[] = [];
    const pool = definePool(poolName(), {
      max: 1,
      create: () => {
        const socket = new EventEmitter();
        made.push(socket);
        return socket;
      },
      destroy: () => {},
      onDead: (socket, report) => void socket.on('error', report),
    });
    await withRoot(async () => {
      await pool.use(() => {});
      // Without a listener, emit() would throw.
      made[0]?.emit('error', new Error('terminating connection due to administrator command'));
      // A socket may fail more than once, also while it closes.
      made[0]?.emit('error', new Error('write EPIPE'));
      await pool.use((socket) => expect(socket).toBe(made[1]));
      expect(pool.stats().closedBy.dead).toBe(1);
    });
  });
});

test.each([
  ['says no', () => false],
  [
    'throws',
    () => {
      throw new Error('odd');
    },
  ],
])('generic-pool d33: what comes back is tested: when reset %s, the next gets another connection', async (_, reset) => {
  const server = new Server();
  const pool = poolOf(server, { max: 1, reset });
  await withRoot(async () => {
    const first = await pool.acquire();
    const next = pool.acquire();
    first.release();
    expect((await next).resource.id).toBe(2);
    (await next).release();
  });
  expect(server.peak).toBe(1);
});

test('generic-pool d05: a connection that is being checked does not keep close() waiting', async () => {
  const server = new Server();
  const checking = gate();
  const pool = poolOf(server, { max: 1, validateAfterIdleMs: 0, validate: () => checking.promise });
  await withRoot(async () => {
    await pool.use(() => {});
    const waiting = pool.acquire();
    const refusal = expect(waiting).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
    await turns();
    await pool.close({ graceMs: Number.POSITIVE_INFINITY });
    await refusal;
    expect(server.open).toBe(0);
    checking.open();
  });
});
