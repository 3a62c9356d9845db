import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CHANNELS } from '../../src/channels.ts';
import { type AcquireTimeoutError, type Lease, type Limits, type Pool, Scope, withRoot, withScope } from '../../src/index.ts';
import type { Engine } from '../../src/pool/engine.ts';
import { permitsIn, setQuota } from '../../src/pool/quota.ts';
import { statsOf } from '../../src/pool/report.ts';
import { expectNoLeaks } from '../../src/testing/index.ts';
import { until } from '../support/until.ts';
import { type Connection, gate, poolName, poolOf, Server, turns } from './support.ts';

const FOR_EVER = { acquireTimeoutMs: 60_000 };
const code = (name: string) => expect.objectContaining({ code: name });

/** Runs `fn` in a child of the current scope that has a quota. */
function within<R>(limits: Limits, fn: (scope: Scope) => R | PromiseLike<R>, name = 'worker:emails'): Promise<R> {
  return withScope(
    (scope) => {
      setQuota(scope, limits);
      return fn(scope);
    },
    { name },
  );
}

/** What is taken of the quota of the scope, and who waits for it. */
function quotaOf(scope: Scope, pool: Pool<Connection>): { readonly taken: number; readonly pending: number } {
  const engine = scope.root.single(pool) as unknown as Engine<Connection>;
  const permits = permitsIn(scope, engine);
  const { inUse: taken = 0, pending = 0 } = permits ? statsOf(permits) : {};
  return { taken, pending };
}

const EMPTY = { taken: 0, pending: 0 };

/** Tells of each promise whether it has begun its lease by now. */
function watch(...leases: Promise<Lease<Connection>>[]): boolean[] {
  const served = leases.map(() => false);
  leases.forEach((lease, place) => void lease.then(() => (served[place] = true)).catch(() => {}));
  return served;
}

describe('a quota', () => {
  it('counts exclusive leases, one each, and lets others go on', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    await withRoot(() =>
      within({ [pool.name]: 2 }, async (scope) => {
        const [first, second] = [await pool.acquire(), await pool.acquire()];
        const third = pool.acquire();
        const served = watch(third);
        await turns(10);
        expect(served).toEqual([false]);
        expect(quotaOf(scope, pool)).toEqual({ taken: 2, pending: 1 });
        expect(pool.stats()).toMatchObject({ max: 5, open: 2, exclusive: 2, pending: 0 });
        await (scope.parent as Scope).run(() => pool.use(() => {}));
        first.release();
        (await third).release();
        second.destroy();
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });

  it('counts all shared leases on one connection as one', async () => {
    const pool = poolOf(new Server(), { max: 5, maxSharers: Number.POSITIVE_INFINITY });
    await withRoot(() =>
      within({ [pool.name]: 2 }, async (scope) => {
        const shared = await Promise.all(Array.from({ length: 20 }, () => pool.acquireShared()));
        const alone = await pool.acquire();
        expect(quotaOf(scope, pool)).toEqual({ taken: 2, pending: 0 });
        const next = pool.acquire();
        const served = watch(next);
        for (const lease of shared.slice(1)) lease.release();
        await turns(10);
        expect(served).toEqual([false]);
        shared[0]?.release();
        (await next).release();
        alone.release();
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });

  it('counts as many shared leases as one as share a connection', async () => {
    const server = new Server();
    const pool = poolOf(server, { max: 5, maxSharers: 2 });
    await withRoot(() =>
      within({ [pool.name]: 2 }, async () => {
        const leases = await Promise.all(Array.from({ length: 4 }, () => pool.acquireShared()));
        const last = pool.acquireShared();
        const served = watch(last);
        await turns(10);
        expect([...served, server.open]).toEqual([false, 2]);
        for (const lease of leases) lease.release();
        (await last).release();
      }),
    );
  });

  it('binds the scopes below it that share its root, and no other', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const lease = await withScope(() => scope.run(() => pool.acquire()));
        await withScope(async () => {
          expect(pool.tryAcquire()).toBeUndefined();
          await expect(pool.use(() => {}, { acquireTimeoutMs: 20 })).rejects.toEqual(code('ERR_POOL_ACQUIRE_TIMEOUT'));
        });
        await withScope(() => pool.use(() => pool.use(() => {})), { isolate: true });
        await withScope(() => pool.use(() => {}), { parent: root });
        lease.release();
      }),
    );
  });

  it('names its scope and its limit when an acquire times out in it, with who holds what', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    await withRoot(() =>
      within({ [pool.name]: { max: 1, acquireTimeoutMs: 20 } }, async () => {
        const lease = await pool.acquire();
        const error = await pool.acquire().catch((thrown) => thrown);
        expect(error.message).toContain(`pool "${pool.name}" of scope "worker:emails": no exclusive lease within`);
        expect(error.facts).toMatchObject({ phase: 'waiting', max: 1, inUse: 1, pending: 1, exclusive: true });
        expect(error.facts.holders).toMatchObject([{ scope: 'worker:emails', site: expect.stringContaining('quota.test.ts') }]);
        lease.release();
      }),
    );
  });

  it('takes the time of the call, else of the limit, else of the limit around it, else of the pool', async () => {
    const pool = poolOf(new Server(), { max: 5, acquireTimeoutMs: 50 });
    await withRoot(() =>
      within({ [pool.name]: 1 }, async () => {
        const lease = await pool.acquire();
        const order: string[] = [];
        const refused = async (name: string, acquire: () => Promise<unknown>) => {
          await expect(acquire()).rejects.toEqual(code('ERR_POOL_ACQUIRE_TIMEOUT'));
          order.push(name);
        };
        const mine = (ms: number) => ({ [pool.name]: { max: 3, acquireTimeoutMs: ms } });
        await Promise.all([
          refused('pool', () => pool.acquire()),
          refused('limit', () => within(mine(500), () => pool.acquire())),
          refused('limit around', () => within(mine(250), () => within({ [pool.name]: 2 }, () => pool.acquire()))),
          refused('call', () => within(mine(10), () => pool.acquire({ acquireTimeoutMs: 750 }))),
        ]);
        expect(order).toEqual(['pool', 'limit around', 'limit', 'call']);
        lease.release();
      }),
    );
  });

  it('has one deadline for both lines', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const lease = await pool.acquire();
        const order: string[] = [];
        const refused = async (name: string, acquire: () => Promise<unknown>) => {
          const error = (await acquire().catch((thrown: unknown) => thrown)) as AcquireTimeoutError;
          expect(error).toEqual(code('ERR_POOL_ACQUIRE_TIMEOUT'));
          order.push(name);
          return error;
        };
        const both = refused('both', () => pool.acquire({ acquireTimeoutMs: 200 }));
        await sleep(120);
        const other = root.run(() => pool.acquire());
        lease.release();
        expect(quotaOf(scope, pool)).toEqual({ taken: 1, pending: 0 });
        expect(pool.stats()).toMatchObject({ exclusive: 1, pending: 1 });
        await Promise.all([both, root.run(() => refused('one', () => pool.acquire({ acquireTimeoutMs: 190 })))]);
        expect(order).toEqual(['both', 'one']);
        const { facts } = await both;
        // All of it is said, though it is the pool that it waited for in the end.
        expect(facts.waitedMs).toBeGreaterThan(190);
        expect(facts).toMatchObject({ scope: root.name, max: 1, inUse: 1 });
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        (await other).release();
      }),
    );
  });

  it('knows the line of code that waits, whoever goes on for it', async () => {
    const [pool, another] = [poolOf(new Server(), { max: 1 }), poolOf(new Server())];
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async () => {
        // Of the first leases of a pool the lines are known anyway.
        for (let count = 0; count < 110; count++) await pool.use(() => {});
        const siteOf = async (acquire: () => Promise<readonly [Promise<Lease<Connection>>]>) => {
          const lease = await pool.acquire();
          const [waiting] = await acquire();
          const other = root.run(() => pool.acquire());
          lease.release();
          const { site } = pool.inspect().waiters[0] ?? {};
          (await other).release();
          (await waiting).release();
          return site;
        };
        // Of what waits while it holds something they are known, too; of others nothing wrong is told.
        const { stack = '' } = new Error('here');
        const known = siteOf(() => another.use(() => [pool.acquire()]));
        const [, line] = /quota\.test\.ts:(\d+)/.exec(stack) ?? [];
        expect(await known).toContain(`quota.test.ts:${Number(line) + 1}:`);
        expect(await siteOf(async () => [pool.acquire()])).toBeUndefined();
      }),
    );
  });

  it('serves in order, by priority', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    await withRoot(() =>
      within({ [pool.name]: 1 }, async () => {
        const lease = await pool.acquire();
        const order: string[] = [];
        const user = (name: string, priority?: 'high' | 'low') => pool.use(() => void order.push(name), { priority });
        const users = [user('low', 'low'), user('first'), user('second'), user('high', 'high'), user('third')];
        lease.release();
        await Promise.all(users);
        expect(order).toEqual(['high', 'first', 'second', 'third', 'low']);
      }),
    );
  });

  it('lends at once what is idle, and only then, by tryAcquire', async () => {
    const pool = poolOf(new Server(), { max: 3 });
    await withRoot(() =>
      within({ [pool.name]: 2 }, async (scope) => {
        await pool.use(() => {});
        const lease = pool.tryAcquire();
        expect(lease?.ended).toBe(false);
        // There is a place in the quota, but no connection is idle.
        expect(pool.tryAcquire()).toBeUndefined();
        expect(quotaOf(scope, pool)).toEqual({ taken: 1, pending: 0 });
        // There is an idle connection, but no place.
        await (scope.parent as Scope).run(() => pool.use(() => {}));
        const second = await pool.acquire();
        await (scope.parent as Scope).run(() => pool.use(() => {}));
        expect(pool.stats().idle).toBe(1);
        expect(pool.tryAcquire()).toBeUndefined();
        second.release();
        lease?.release();
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        await withScope((child) => {
          child.cancel();
          expect(() => pool.tryAcquire()).toThrow(code('ERR_SCOPE_CANCELLED'));
          expect(quotaOf(scope, pool)).toEqual(EMPTY);
        }).catch(() => {});
      }),
    );
  });

  it('is silent: what is published, counted and found is of the pool', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    const published: string[] = [];
    const { lease, connect, acquire } = CHANNELS;
    const channels = { lease: lease.start, ended: lease.asyncEnd, connect: connect.start, acquire: acquire.start };
    const told = { ...channels, ready: CHANNELS.connectionReady, closed: CHANNELS.connectionClosed };
    const listeners = Object.entries(told).map(([name, channel]) => {
      const listener = (message: unknown) => void ((message as { pool: string }).pool === pool.name && published.push(name));
      channel.subscribe(listener);
      return () => channel.unsubscribe(listener);
    });
    await withRoot(async () => {
      await within({ [pool.name]: 1 }, async () => {
        await Promise.all([pool.use(() => {}), pool.use(() => {})]);
        expect(pool.stats()).toMatchObject({ acquired: 2, created: 1 });
        await expectNoLeaks();
      });
    });
    for (const stop of listeners) stop();
    const count = (name: string) => published.filter((other) => other === name).length;
    expect(Object.keys(told).map(count)).toEqual([2, 2, 1, 2, 1, 1]);
    await expectNoLeaks();
  });

  it('is told of when nobody knows its pool, once, and of no wrong numbers', async () => {
    const reported: unknown[] = [];
    const pool = poolOf(new Server());
    const wrong = poolName();
    await withRoot(() => within({ [wrong]: 1, [pool.name]: 1 }, () => withScope(() => {})), {
      onSuppressed: (error) => void reported.push(error),
    });
    expect(reported).toEqual([code('ERR_UNKNOWN_LIMIT')]);
    expect(String(reported[0])).toContain(`scope "worker:emails" limits a pool "${wrong}"`);
    const scope = new Scope({ parent: null });
    expect(() => setQuota(scope, { [pool.name]: 0 })).toThrow(code('ERR_INVALID_OPTION'));
    await scope.close();
    expect(() => new Scope({ parent: scope, limits: { [pool.name]: 1 } })).toThrow(code('ERR_INVALID_OPTION'));
  });
});

/** Ways in which an acquire can end without a lease; each is told the pool and begins one that waits. */
const ENDS: Readonly<Record<string, (pool: Pool<Connection>) => { end: () => unknown; failed: Promise<unknown> }>> = {
  'its signal': (pool) => {
    const { signal, abort } = abortable();
    return {
      end: abort,
      failed: refusal(
        pool.use(() => {}, { ...FOR_EVER, signal }),
        'ERR_ACQUIRE_ABORTED',
      ),
    };
  },
  'its scope, cancelled': (pool) => {
    const { signal, abort } = abortable();
    const failed = withScope(
      (scope) =>
        refusal(
          pool.use(() => {}, FOR_EVER),
          'ERR_SCOPE_CANCELLED',
        ).then(() => scope.signal.reason),
      { signal },
    );
    return { end: abort, failed: failed.catch(() => {}) };
  },
  'its scope, ended': (pool) => {
    const left = gate();
    const reported: unknown[] = [];
    const body = async () => {
      void pool.use(() => {}, FOR_EVER);
      await left.promise;
    };
    const ended = withScope(body, { onSuppressed: (error) => void reported.push(error) });
    return { end: left.open, failed: ended.then(() => expect(reported).toEqual([code('ERR_SCOPE_CLOSED')])) };
  },
  'its time': (pool) => ({
    end: () => {},
    failed: refusal(
      pool.use(() => {}, { acquireTimeoutMs: 20 }),
      'ERR_POOL_ACQUIRE_TIMEOUT',
    ),
  }),
};

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error('enough')) };
}

function refusal(promise: Promise<unknown>, name: string): Promise<void> {
  return expect(promise).rejects.toEqual(code(name));
}

describe.each(Object.entries(ENDS))('an acquire that is ended by %s', (_, begin) => {
  it('leaves the line of the quota', async () => {
    const pool = poolOf(new Server(), { max: 5 });
    await withRoot(() =>
      within({ [pool.name]: 1 }, async (scope) => {
        const lease = await pool.acquire();
        const { end, failed } = begin(pool);
        expect(quotaOf(scope, pool)).toEqual({ taken: 1, pending: 1 });
        const next = pool.use(() => 'next');
        end();
        await failed;
        lease.release();
        expect(await next).toBe('next');
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });

  it('gives its place back when it waited for the pool', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const other = await root.run(() => pool.acquire());
        const { end, failed } = begin(pool);
        const next = pool.use(() => 'next');
        expect(quotaOf(scope, pool)).toEqual({ taken: 1, pending: 1 });
        expect(pool.stats().pending).toBe(1);
        end();
        await failed;
        expect(quotaOf(scope, pool)).toEqual({ taken: 1, pending: 0 });
        expect(pool.stats().pending).toBe(1);
        other.release();
        expect(await next).toBe('next');
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        expect(scope.tree().children).toEqual([]);
      }),
    );
  });
});

describe('a quota, when its pool', () => {
  it('has too many waiters, gets the place back', async () => {
    const pool = poolOf(new Server(), { max: 1, maxWaiters: 0 });
    await withRoot((root) =>
      within({ [pool.name]: 2 }, async (scope) => {
        const other = await root.run(() => pool.acquire());
        await refusal(pool.acquire(), 'ERR_POOL_TOO_MANY_WAITERS');
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        other.release();
      }),
    );
  });

  it('has too many waiters for who comes from its line, hands the place on', async () => {
    const pool = poolOf(new Server(), { max: 2, maxWaiters: 2 });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const mine = await pool.acquire();
        const [first, second] = [pool.acquire(), pool.acquire()];
        const other = await root.run(() => pool.acquire());
        const others = [root.run(() => pool.acquire()), root.run(() => pool.acquire())];
        const refused = refusal(first, 'ERR_POOL_TOO_MANY_WAITERS');
        // What it gives back goes above the limit, and nobody gets it.
        pool.resize(1);
        mine.release();
        await refused;
        await refusal(second, 'ERR_POOL_TOO_MANY_WAITERS');
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        other.release();
        for (const next of others) (await next).release();
      }),
    );
  });

  it.each([1, 2])('closes, with a quota of %i, refuses all who wait at once', async (max) => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot((root) =>
      within({ [pool.name]: max }, async (scope) => {
        const lease = await (max === 1 ? pool.acquire() : root.run(() => pool.acquire()));
        const waiting = Array.from({ length: 4 }, () => refusal(pool.acquire(), 'ERR_POOL_CLOSED'));
        expect(quotaOf(scope, pool)).toEqual({ taken: max, pending: max === 1 ? 4 : 2 });
        const closed = pool.close();
        await Promise.all(waiting);
        expect(quotaOf(scope, pool)).toEqual({ taken: max === 1 ? 1 : 0, pending: 0 });
        lease.release();
        await closed;
        await refusal(pool.acquire(), 'ERR_POOL_CLOSED');
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });

  it('can never connect, refuses all who wait, with one attempt', async () => {
    const server = new Server();
    server.onCreate = () => Promise.reject(new Error('wrong password'));
    const pool = poolOf(server, { isFinal: () => true });
    await withRoot(() =>
      within({ [pool.name]: 1 }, async (scope) => {
        await Promise.all(Array.from({ length: 4 }, () => refusal(pool.acquire(), 'ERR_POOL_UNAVAILABLE')));
        expect(server.attempts).toBe(1);
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });
});

describe('one signal', () => {
  it('ends all acquires that it was given to, whichever line they are in', async () => {
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const other = await root.run(() => pool.acquire());
        const { signal, abort } = abortable();
        const all = Array.from({ length: 3 }, () => refusal(pool.acquire({ ...FOR_EVER, signal }), 'ERR_ACQUIRE_ABORTED'));
        abort();
        await Promise.all(all);
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        other.release();
      }),
    );
  });
});

describe('an acquire that gets its place because another heard of its signal', () => {
  it('hears of it, too, before it could begin', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: Number.POSITIVE_INFINITY });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const other = await root.run(() => pool.acquireShared());
        const { signal, abort } = abortable();
        const alone = refusal(pool.acquire({ ...FOR_EVER, signal }), 'ERR_ACQUIRE_ABORTED');
        const shared = refusal(pool.acquireShared({ ...FOR_EVER, signal }), 'ERR_ACQUIRE_ABORTED');
        expect([quotaOf(scope, pool), pool.stats().pending]).toEqual([{ taken: 1, pending: 1 }, 1]);
        abort();
        await Promise.all([alone, shared]);
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
        other.release();
      }),
    );
  });
});

describe('a scope that ends', () => {
  it('reports what is held as leaked and what waits as abandoned, and gives back both places', async () => {
    const pool = poolOf(new Server(), { max: 3 });
    const reported: unknown[] = [];
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        // Another one is idle, which who waits could have at once.
        await root.run(() => Promise.all([pool.use(() => {}), pool.use(() => {})]));
        await withScope(
          async () => {
            void pool.use(() => new Promise(() => {}));
            void pool.use(() => {});
          },
          { onSuppressed: (error) => void reported.push(error) },
        );
        expect(reported).toEqual([code('ERR_LEASE_LEAKED'), code('ERR_SCOPE_CLOSED')]);
        await until(() => quotaOf(scope, pool).taken === 0);
        expect(await pool.use(() => 'served')).toBe('served');
      }),
    );
  });
});

describe('a deadlock', () => {
  it('of those who wait inside for the same quota ends with the newest', async () => {
    const pool = poolOf(new Server(), { max: 5, ...FOR_EVER });
    await withRoot(() =>
      within({ [pool.name]: 2 }, async (scope) => {
        const both = gate();
        let begun = 0;
        const user = () =>
          pool.use(async () => {
            if (++begun === 2) both.open();
            await both.promise;
            await pool.use(() => {});
          });
        const [first, second] = await Promise.allSettled([user(), user()]);
        expect(first).toMatchObject({ status: 'fulfilled' });
        expect(second).toMatchObject({ reason: { code: 'ERR_POOL_DEADLOCK', facts: { scope: 'worker:emails', max: 2 } } });
        expect(quotaOf(scope, pool)).toEqual(EMPTY);
      }),
    );
  });

  it('in the pool is none of who only waits for it with a place in the quota', async () => {
    const pool = poolOf(new Server(), { max: 1, ...FOR_EVER });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async () => {
        const begun = gate();
        const nested = root.run(() =>
          pool.use(async () => {
            await begun.promise;
            await pool.use(() => {});
          }),
        );
        await until(() => pool.stats().exclusive === 1);
        const innocent = [pool.use(() => 'served'), pool.use(() => 'served')];
        begun.open();
        await refusal(nested, 'ERR_POOL_DEADLOCK');
        expect(await Promise.all(innocent)).toEqual(['served', 'served']);
      }),
    );
  });

  it('of a holder who waits for a place that waits for what he holds is seen', async () => {
    const pool = poolOf(new Server(), { max: 1, ...FOR_EVER });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        const begun = gate();
        const holder = root.run(() =>
          pool.use(async () => {
            await begun.promise;
            await scope.run(() => pool.use(() => {}));
          }),
        );
        await until(() => pool.stats().exclusive === 1);
        const waiting = pool.use(() => 'served');
        begun.open();
        await refusal(holder, 'ERR_POOL_DEADLOCK');
        expect(await waiting).toBe('served');
      }),
    );
  });

  it('is not ended by refusing who has come to it last, and holds nothing but his place', async () => {
    const pool = poolOf(new Server(), { max: 2, ...FOR_EVER });
    await withRoot((root) =>
      within({ [pool.name]: 1 }, async (scope) => {
        // The older one of those held is what a smaller limit takes away.
        const lease = await pool.acquire();
        const begun = gate();
        const holder = root.run(() =>
          pool.use(async () => {
            await begun.promise;
            await scope.run(() => pool.use(() => {}, { priority: 'low' }));
          }),
        );
        await until(() => pool.stats().exclusive === 2);
        begun.open();
        await until(() => quotaOf(scope, pool).pending === 1);
        const last = pool.use(() => 'served');
        pool.resize(1);
        lease.release();
        await refusal(holder, 'ERR_POOL_DEADLOCK');
        expect(await last).toBe('served');
      }),
    );
  });

  it('is none where the code shares already', async () => {
    const pool = poolOf(new Server(), { max: 3, maxSharers: 8 });
    await withRoot(() =>
      within({ [pool.name]: 1 }, () => pool.share((outer) => withScope(() => pool.share((inner) => expect(inner).toBe(outer))))),
    );
  });
});

describe('a quota below a quota', () => {
  it('holds, and the other one with it', async () => {
    const pool = poolOf(new Server(), { max: 9 });
    await withRoot(() =>
      within({ [pool.name]: 3 }, async (outer) => {
        const user = (from: string, order: string[]) => pool.use(() => void order.push(from));
        await within({ [pool.name]: 2 }, async (inner) => {
          const leases = [await pool.acquire(), await pool.acquire()];
          const served: string[] = [];
          const third = user('inner', served);
          // It waits for the inner one, and takes no place of the outer one meanwhile.
          expect([quotaOf(inner, pool), quotaOf(outer, pool)]).toMatchObject([{ taken: 2, pending: 1 }, { taken: 2 }]);
          const other = await outer.run(() => pool.acquire());
          const last = outer.run(() => user('outer', served));
          leases[0]?.release();
          await turns(5);
          // What the inner one has given back was asked for in the outer one before.
          expect(served[0]).toBe('outer');
          leases[1]?.release();
          other.release();
          await Promise.all([third, last]);
          expect([quotaOf(inner, pool), quotaOf(outer, pool)]).toEqual([EMPTY, EMPTY]);
        });
      }),
    );
  });

  it('of another pool leaves this one to the other', async () => {
    const [pool, other] = [poolOf(new Server()), poolOf(new Server())];
    await withRoot(() =>
      within({ [pool.name]: 1 }, () =>
        within({ [other.name]: 1 }, async () => {
          await pool.use(() => other.use(() => expect([pool.tryAcquire(), other.tryAcquire()]).toEqual([undefined, undefined])));
          await pool.use(() => refusal(pool.acquire({ acquireTimeoutMs: 20 }), 'ERR_POOL_ACQUIRE_TIMEOUT'));
        }),
      ),
    );
  });
});
