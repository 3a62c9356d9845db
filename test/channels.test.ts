import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CHANNELS } from '../src/channels.ts';
import { tryCurrentScope, withRoot, withScope } from '../src/index.ts';
import { gate, poolOf, Server, turns } from './pool/support.ts';
import { eventsOf, listen, published, uncaught } from './support/events.ts';

const store = new AsyncLocalStorage<unknown>();

/** Binds a store to a channel until the test ends. */
function bind(channel: typeof CHANNELS.acquire.start, value: unknown): void {
  channel.bindStore(store, () => value);
  onTestFinished(() => void channel.unbindStore(store));
}

describe('CHANNELS.acquire', () => {
  it('begins and ends in one go for an acquire that is served at once', async () => {
    const pool = poolOf(new Server());
    await withRoot(
      async () => {
        await pool.use(() => {});
        const all = published('acquire');
        await withScope(async () => (await pool.acquire({ priority: 'high' })).release(), { name: 'job' });
        await pool.share(() => {});
        expect(eventsOf(all)).toEqual(['acquire.start', 'acquire.end', 'acquire.start', 'acquire.end']);
        expect(all[1]?.said).toEqual({ pool: pool.name, scope: 'job', exclusive: true, priority: 'high', waits: false });
        expect(all[3]?.said).toEqual({ pool: pool.name, scope: 'root', exclusive: false, priority: 'normal', waits: false });
      },
      { name: 'root' },
    );
  });

  it('goes on with one message until the lease of an acquire that waits, which it does not show', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const all = published('acquire');
      const waiting = pool.acquire();
      expect(eventsOf(all)).toEqual(['acquire.start', 'acquire.end']);
      held.release();
      (await waiting).release();
      expect(eventsOf(all)).toEqual(['acquire.start', 'acquire.end', 'acquire.asyncStart', 'acquire.asyncEnd']);
      expect(new Set(all.map(({ message }) => message)).size).toBe(1);
      expect(Object.keys(all[3]?.said ?? {})).toEqual(['pool', 'scope', 'exclusive', 'priority', 'waits']);
      expect(all.map(({ said }) => said.waits)).toEqual([undefined, true, true, true]);
    });
  });

  it('says why an acquire failed that waited, before its end', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const all = published('acquire');
      const error = await pool.acquire({ acquireTimeoutMs: 5 }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      expect(eventsOf(all)).toEqual(['acquire.start', 'acquire.end', 'acquire.error', 'acquire.asyncStart', 'acquire.asyncEnd']);
      expect(all.map(({ said }) => said.error)).toEqual([undefined, undefined, error, error, error]);
      held.release();
    });
  });

  it('says why an acquire was refused at once', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.close();
      const all = published('acquire');
      const error = await pool.acquire().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'ERR_POOL_CLOSED' });
      expect(eventsOf(all)).toEqual(['acquire.start', 'acquire.error', 'acquire.end']);
      expect(all.map(({ said }) => said.error)).toEqual([undefined, error, error]);
    });
  });

  it.each(['acquire', 'use'] as const)('makes no unhandled rejection of a waiting %s that nobody awaits', async (verb) => {
    const rejections = uncaught('unhandledRejection');
    const pool = poolOf(new Server(), { max: 1 });
    const reported: unknown[] = [];
    published('acquire');
    await withRoot(async () => {
      const held = await pool.acquire();
      await withScope(
        async () => {
          void (verb === 'use' ? pool.use(() => {}) : pool.acquire());
        },
        { onSuppressed: (error) => void reported.push(error) },
      );
      held.release();
    });
    await turns();
    // The calls that publish do not push the line that acquires out of its stack.
    expect(reported).toMatchObject([{ code: 'ERR_SCOPE_CLOSED', message: expect.stringMatching(/channels\.test\.ts:\d+/) }]);
    expect(rejections).toEqual([]);
  });

  it('hides no line that acquires, nor that of who waits inside, from who asks', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    published('acquire');
    bind(CHANNELS.acquire.start, 'bound');
    await withRoot(async () => {
      for (let count = 0; count < 200; count++) await pool.use(() => {});
      const held = pool.use(() => pool.use(() => {}, { acquireTimeoutMs: 5 }));
      const { connections } = pool.inspect();
      expect(connections).toMatchObject([{ leases: [{ waitsFor: [{ site: expect.stringMatching(/channels\.test\.ts:\d+/) }] }] }]);
      await expect(held).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
    });
  });

  it('holds a store that is bound to its start while the call runs, and neither after it nor in create', async () => {
    const seen: unknown[] = [];
    const note = (where: string) => void seen.push([where, store.getStore()]);
    const server = new Server();
    server.onCreate = () => note('create');
    const pool = poolOf(server, { isUsable: () => note('call') ?? true });
    await withRoot(async () => {
      bind(CHANNELS.acquire.start, 'bound');
      await pool.use(() => note('use'));
      seen.length = 0;
      (await pool.acquire()).destroy();
      note('after');
      await pool.use(() => note('use'));
    });
    const create = [
      ['create', undefined],
      ['call', undefined],
    ];
    const after = seen.findIndex((one) => (one as string[])[0] === 'after');
    // Before it is lent, it may be looked at again after a turn, which is no longer in the call.
    expect(seen[0]).toEqual(['call', 'bound']);
    expect(seen.slice(after)).toEqual([['after', undefined], ...create, ['call', undefined], ['use', undefined]]);
  });
});

describe('CHANNELS.lease', () => {
  it('tells of the begin and the end of a lease, and how long it was held', async () => {
    const pool = poolOf(new Server());
    const all = published('lease');
    await withRoot(
      async () => {
        const lease = await pool.acquire();
        expect(eventsOf(all)).toEqual(['lease.start', 'lease.end']);
        expect(all[0]?.said).toEqual({ pool: pool.name, scope: 'root', exclusive: true });
        const begun = performance.now();
        while (performance.now() < begun + 5);
        lease.release();
        lease.release();
      },
      { name: 'root' },
    );
    expect(eventsOf(all)).toEqual(['lease.start', 'lease.end', 'lease.asyncStart', 'lease.asyncEnd']);
    expect(all[3]?.said).toEqual({ pool: pool.name, scope: 'root', exclusive: true, heldMs: expect.any(Number) });
    expect(all[3]?.said.heldMs).toBeGreaterThanOrEqual(5);
    expect(new Set(all.map(({ message }) => message)).size).toBe(1);
  });

  it('does not count what was before the lease, however long the event loop was blocked', async () => {
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      const all = published('lease');
      const blocked = performance.now() + 300;
      while (performance.now() < blocked);
      const before = performance.now();
      await pool.use(() => {});
      expect(all.at(-1)?.said.heldMs).toBeLessThanOrEqual(performance.now() - before);
    });
  });

  it('tells of a leak before the end of its lease, with the line that acquired it', async () => {
    const pool = poolOf(new Server());
    const all = published('lease', 'leaseLeaked', 'error');
    await withRoot(() => withScope(async () => void (await pool.acquire()), { name: 'job' }), { name: 'root', onSuppressed: () => {} });
    expect(eventsOf(all)).toEqual(['lease.start', 'lease.end', 'leaseLeaked', 'lease.asyncStart', 'lease.asyncEnd', 'error']);
    const holder = { pool: pool.name, scope: 'job', exclusive: true, heldMs: expect.any(Number), waitsFor: [] };
    const site = expect.stringMatching(/channels\.test\.ts:\d+:\d+$/);
    expect(all[2]?.said).toEqual({ pool: pool.name, scope: 'job', holder: { ...holder, site }, stack: expect.any(Array) });
    expect(all[2]?.said.stack).toContainEqual(expect.stringMatching(/channels\.test\.ts:\d+:\d+\)?$/));
    expect(all[5]?.said).toEqual({ scope: 'root', from: 'job/leases', error: expect.objectContaining({ code: 'ERR_LEASE_LEAKED' }) });
  });
});

describe('CHANNELS.connect', () => {
  it('is around create, and tells of what it made before that is lent', async () => {
    const pool = poolOf(new Server());
    const all = published('connect', 'connectionReady', 'lease');
    await withRoot(() => pool.use(() => {}), { name: 'root' });
    const connect = ['connect.start', 'connect.end', 'connect.asyncStart', 'connect.asyncEnd'];
    expect(eventsOf(all).slice(0, 6)).toEqual([...connect, 'connectionReady', 'lease.start']);
    expect(all[3]?.said).toEqual({ pool: pool.name, scope: 'root' });
    expect(all[4]?.said).toEqual({ pool: pool.name, scope: 'root', createMs: expect.any(Number) });
  });

  it('says why create failed', async () => {
    const server = new Server();
    const refused = new Error('refused');
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(refused) : undefined);
    const pool = poolOf(server);
    const all = published('connect', 'connectionReady');
    await withRoot(() => pool.use(() => {}));
    expect(eventsOf(all).slice(0, 5)).toEqual(['connect.start', 'connect.end', 'connect.error', 'connect.asyncStart', 'connect.asyncEnd']);
    expect(all[4]?.said.error).toBe(refused);
    expect(eventsOf(all).filter((event) => event === 'connectionReady')).toHaveLength(1);
  });

  it('is published in the root scope and in no store of the job that needs the connection, as is its end', async () => {
    const pool = poolOf(new Server());
    const seen: unknown[] = [];
    for (const name of ['connect', 'connectionReady', 'connectionClosed'] as const) {
      listen(name, (_, event) => void seen.push([event, tryCurrentScope()?.name, store.getStore()]));
    }
    await withRoot(() => store.run('of the job', () => withScope(async () => (await pool.acquire()).destroy(), { name: 'job' })), {
      name: 'root',
    });
    const events = ['connect.start', 'connect.end', 'connect.asyncStart', 'connect.asyncEnd', 'connectionReady', 'connectionClosed'];
    expect(seen).toEqual(events.map((event) => [event, 'root', undefined]));
  });

  it('holds a store that is bound to its start in what create starts, and not elsewhere', async () => {
    const server = new Server();
    const creating = gate();
    const seen: unknown[] = [];
    server.onCreate = async () => {
      seen.push(store.getStore());
      await creating.promise;
      seen.push(store.getStore());
    };
    server.onDestroy = () => void seen.push(store.getStore());
    const pool = poolOf(server);
    bind(CHANNELS.connect.start, 'bound');
    await withRoot(async () => {
      const used = pool.use(() => void seen.push(store.getStore()));
      await turns();
      creating.open();
      await used;
    });
    expect(seen).toEqual(['bound', 'bound', undefined, undefined]);
  });
});

describe('CHANNELS.connectionClosed', () => {
  it('says why a connection is closed, when it is gone, and how old it was', async () => {
    const server = new Server();
    const pool = poolOf(server);
    const openThen: unknown[] = [];
    listen('connectionClosed', () => void openThen.push(server.open));
    const all = published('connectionClosed');
    await withRoot(async () => (await pool.acquire()).destroy(), { name: 'root' });
    await withRoot(() => pool.use(() => {}), { name: 'root' });
    expect(all.map(({ said }) => said)).toEqual([
      { pool: pool.name, scope: 'root', reason: 'destroyed', ageMs: expect.any(Number), error: undefined },
      { pool: pool.name, scope: 'root', reason: 'closed', ageMs: expect.any(Number), error: undefined },
    ]);
    for (const { said } of all) expect(said.ageMs).toBeGreaterThanOrEqual(0);
    expect(openThen).toEqual([0, 0]);
  });
});
