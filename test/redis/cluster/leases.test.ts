import { type LeaksFoundError, Scope, withRoot, withScope } from 'scoped-pool';
import { expectNoLeaks } from 'scoped-pool/testing';
import { describe, expect, it } from 'vitest';
import { startCluster } from '../../../dev/redis-cluster.ts';
import { until } from '../../support/until.ts';
import { errorOf } from '../support.ts';
import { poolOn, useCluster } from './support.ts';

const cluster = useCluster();
const keys = (prefix: string) => cluster().masters.map((node) => cluster().keyOn(node, prefix));

describe('a lease of a cluster pool', () => {
  it('is of the node of the key, for this code alone', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      for (const [place, key] of keys('balance').entries()) {
        const done = await pool.use(
          async (connection, lease) => {
            expect(lease.exclusive).toBe(true);
            expect(connection.options.port).toBe(cluster().masters[place]?.port);
            await connection.watch(key);
            return connection.multi().set(key, place).exec();
          },
          { key },
        );
        expect(done).toEqual([[null, 'OK']]);
      }
    });
  });

  it('is found by expectNoLeaks, with its line of code, as are the connections of each node', async () => {
    const pool = poolOn(cluster());
    const root = new Scope({ parent: null, name: 'cluster-root', onSuppressed: () => {} });
    const [key = '', other = ''] = keys('leaked');
    await root.run(async () => {
      await pool.get(other);
      await pool.acquire({ key });
    });
    const { leaks } = (await errorOf(() => expectNoLeaks({ graceMs: 0 }))) as LeaksFoundError;
    expect(leaks).toEqual([
      expect.stringContaining('root scope "cluster-root"'),
      expect.stringMatching(/^lease of pool ".*leases\.test\.ts/),
      ...[1, 1].map(() => expect.stringMatching(/of root scope "cluster-root": connections open: 1$/)),
    ]);
    await root.close();
    await expectNoLeaks({ graceMs: 0 });
  });

  it('sees what another has changed meanwhile', async () => {
    const pool = poolOn(cluster());
    const [key = ''] = keys('watched');
    await withRoot(async () => {
      const transact = pool.use(
        async (connection) => {
          await connection.watch(key);
          await pool.set(key, 'other');
          return connection.multi().set(key, 'mine').exec();
        },
        { key },
      );
      expect(await transact).toBeNull();
      expect(await pool.get(key)).toBe('other');
    });
  });

  it('is had by a Buffer and a number, too, also shared, acquired, and at once', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      expect(pool.tryAcquire({ key: 'a' })).toBeUndefined();
      expect(await pool.use((connection) => connection.incr('7'), { key: 7 })).toBe(1);
      expect(await pool.share((connection) => connection.incr('7'), { key: Buffer.from('7') })).toBe(2);
      const shared = await pool.acquireShared({ key: '7' });
      expect(await shared.resource.get('7')).toBe('2');
      shared.release();
      const lease = await pool.acquire({ key: '7' });
      expect(await lease.resource.get('7')).toBe('2');
      lease.release();
      // At once, as long as what was heard of the connection is fresh.
      const again = await until(async () => {
        (await pool.acquire({ key: '7' })).release();
        return pool.tryAcquire({ key: '7' });
      });
      expect(await again?.resource.get('7')).toBe('2');
      again?.release();
      expect(pool.stats().created).toBeLessThanOrEqual(2);
    });
  });

  it.each([undefined, {}, { key: undefined }, { key: null }, { key: {} }])(
    'is refused for %j: there is no node to lease from',
    async (options) => {
      const pool = poolOn(cluster());
      await withRoot(async () => {
        for (const lend of [pool.use, pool.share]) {
          const error = await errorOf(() => lend.call(pool, () => 1, options as never));
          expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining('use(fn, { key })') });
        }
        expect(await errorOf(() => pool.acquire(options as never))).toMatchObject({ code: 'ERR_INVALID_OPTION' });
        expect(await errorOf(() => pool.tryAcquire(options as never))).toMatchObject({ code: 'ERR_INVALID_OPTION' });
        expect(await errorOf(() => pool.use(() => 1, { key: 'a', colour: 'red' } as never))).toMatchObject({ code: 'ERR_INVALID_OPTION' });
      });
    },
  );

  it('refuses what is sent on it to another node, with the outcome, and is followed there by the next', async () => {
    const pool = poolOn(cluster());
    const [key = '', elsewhere = ''] = keys('elsewhere');
    await withRoot(async () => {
      const error = await errorOf(() => pool.use((connection) => connection.set(elsewhere, 1), { key }));
      expect(error).toMatchObject({
        code: 'ERR_REDIS_CONNECTION',
        outcome: 'rejected',
        cause: { message: expect.stringMatching(/^MOVED/) },
      });
      expect(await pool.use((connection) => connection.set(elsewhere, 1), { key: elsewhere })).toBe('OK');
    });
  });

  it('leaves nothing to the next one', async () => {
    const pool = poolOn(cluster(), { max: 1 });
    const [key = ''] = keys('left');
    await withRoot(async () => {
      await pool.use((connection) => connection.watch(key), { key });
      await pool.set(key, 'other');
      expect(await pool.use((connection) => connection.multi().get(key).exec(), { key })).toEqual([[null, 'other']]);
    });
  });
});

describe('a blocking command of a cluster pool', () => {
  it('waits on a connection of its own to the node of its key', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      for (const [place, key] of keys('list').entries()) {
        const popped = pool.blpop(key, 0);
        const node = cluster().observer(cluster().masters[place]);
        await until(async () => String(await node.client('LIST')).includes('cmd=blpop'));
        await pool.rpush(key, 'element');
        expect(await popped).toEqual([key, 'element']);
      }
    });
  });

  it('ends with its scope, and its connections with it', async () => {
    const pool = poolOn(cluster());
    const [key = ''] = keys('never');
    await withRoot(async (root) => {
      const outcome = errorOf(() =>
        withScope((scope) => {
          scope.spawn(() => pool.blpop(key, 0));
          return until(() => pool.stats().exclusive === 1).then(() => scope.cancel(new Error('enough')));
        }),
      );
      expect((await outcome).message).toBe('enough');
      expect(root.state).toBe('open');
    });
    await until(async () => (await cluster().connections()).length === 0);
  });
});

describe('an acquire that does not know its node yet', () => {
  // Nobody listens there.
  const nowhere = { nodes: [{ host: '127.0.0.1', port: 1 }] };

  it('gives up when its time is over, and says why', async () => {
    const pool = poolOn(cluster(), { ...nowhere, acquireTimeoutMs: 200 });
    await withRoot(async () => {
      const error = await errorOf(() => pool.get('a'));
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', message: expect.stringContaining('ECONNREFUSED') });
    });
  });

  it('gives up when the time of this acquire is over, or of its root scope', async () => {
    const pool = poolOn(cluster(), { ...nowhere, acquireTimeoutMs: 600_000 });
    const timeout = { code: 'ERR_POOL_ACQUIRE_TIMEOUT' };
    await withRoot(async () => {
      expect(await errorOf(() => pool.use(() => 1, { key: 'a', acquireTimeoutMs: 50 }))).toMatchObject(timeout);
    });
    await withRoot(async () => expect(await errorOf(() => pool.get('a'))).toMatchObject(timeout), {
      limits: { [pool.name]: { acquireTimeoutMs: 50 } },
    });
  });

  it('gives up when its signal says so, or its scope is cancelled', async () => {
    const pool = poolOn(cluster(), nowhere);
    await withRoot(async () => {
      const signal = AbortSignal.timeout(20);
      expect(await errorOf(() => pool.use(() => 1, { key: 'a', signal }))).toMatchObject({ code: 'ERR_ACQUIRE_ABORTED' });
      const got = await new Promise((resolve) => {
        void errorOf(() =>
          withScope((scope) => {
            errorOf(() => pool.get('a')).then(resolve);
            scope.cancel(new Error('enough'));
          }),
        );
      });
      expect(got).toMatchObject({ code: 'ERR_SCOPE_CANCELLED' });
    });
  });

  it('is reported when nobody awaits it', async () => {
    const pool = poolOn(cluster(), nowhere);
    const suppressed: unknown[] = [];
    const onSuppressed = (error: unknown) => void suppressed.push(error);
    await errorOf(() =>
      withRoot(() => void pool.acquire({ key: 'a' }), { graceMs: 100, onSuppressed }).then(() => {
        throw new Error('closed');
      }),
    );
    expect(suppressed).toMatchObject([{ code: 'ERR_SCOPE_CLOSED' }]);
  });

  it('is reported once, by its scope, also when it waits for a connection to a node that is known', async () => {
    const pool = poolOn(cluster(), { max: 1 });
    const suppressed: unknown[] = [];
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => void unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    try {
      await withRoot(
        async () => {
          const lease = await pool.acquire({ key: 'a' });
          await errorOf(() =>
            withScope(() => void pool.acquire({ key: 'a' }), { graceMs: 100 }).then(() => Promise.reject(new Error('closed'))),
          );
          lease.release();
        },
        { onSuppressed: (error) => void suppressed.push(error) },
      );
      // They are told of after the promises that are settled.
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
    expect(suppressed).toMatchObject([{ code: 'ERR_SCOPE_CLOSED' }]);
    expect(unhandled).toEqual([]);
  });

  it('says at once that a password is wrong', async () => {
    const pool = poolOn(cluster(), { username: 'nobody', password: 'wrong' });
    await withRoot(async () => {
      expect(await errorOf(() => pool.get('a'))).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
    });
  });

  it('asks the next node when the first is not there', async () => {
    const pool = poolOn(cluster(), { nodes: [...nowhere.nodes, ...cluster().nodes] });
    await withRoot(async () => expect(await pool.get('nothing')).toBeNull());
  });

  it('asks the next node when the first has left the cluster, or not joined it yet', async () => {
    const outside = await startCluster({ masters: 1 });
    try {
      const [first] = outside.masters;
      const observer = cluster().observer(first);
      await observer.call('CLUSTER', 'RESET', 'HARD');
      const pool = poolOn(cluster(), { nodes: [first?.url ?? '', ...cluster().nodes] });
      await withRoot(async () => expect(await pool.get('nothing')).toBeNull());
      const alone = poolOn(cluster(), { nodes: [first?.url ?? ''], retry: { maxAttempts: 1 } });
      const error = await withRoot(() => errorOf(() => alone.get('nothing')));
      expect(error).toMatchObject({ outcome: 'rejected', cause: { message: expect.stringMatching(/^CLUSTERDOWN/) } });
    } finally {
      await outside.stop();
    }
  });

  it('hears from a server without a cluster that it is none', async () => {
    const { startRedis } = await import('../../../dev/redis-server.ts');
    const server = await startRedis({ fresh: true });
    try {
      const pool = poolOn(cluster(), { nodes: [server.url] });
      await withRoot(async () => expect((await errorOf(() => pool.get('a'))).message).toMatch(/cluster support disabled/));
    } finally {
      await server.stop();
    }
  });
});
