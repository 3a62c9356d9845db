import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import { currentScope, Scope, tryCurrentScope, withRoot, withScope } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { gate, poolOf, Server, turns } from './support.ts';

describe('Rule 4: the functions of a pool run in the root', () => {
  const store = new AsyncLocalStorage<object>();

  /** A pool that writes down what each of its functions sees. */
  function watched() {
    const server = new Server();
    const seen: [step: string, scope: string | undefined, store: unknown][] = [];
    const note = (step: string) => void seen.push([step, tryCurrentScope()?.name, store.getStore()]);
    const pool = poolOf(server, {
      max: 1,
      validateAfterIdleMs: 0,
      idleTimeoutMs: 20,
      create: async (context) => {
        note('create');
        await turns(1);
        note('create, later');
        return server.create(context);
      },
      validate: async () => {
        note('validate');
        await turns(1);
        note('validate, later');
      },
      onDead: () => note('onDead'),
      destroy: async (connection) => {
        note('destroy');
        await server.destroy(connection);
      },
    });
    return { server, pool, seen };
  }

  it('currentScope() is the root, and the store of the job that needed the connection is absent', async () => {
    const { pool, seen } = watched();
    await withRoot(
      async () => {
        await withScope(
          () =>
            store.run({}, async () => {
              await pool.use(() => {});
              (await pool.acquire()).destroy();
              await until(() => seen.some(([step]) => step === 'destroy'));
            }),
          { name: 'job' },
        );
        // This one is closed by the timer, which a job's release has set.
        await store.run({}, () => pool.use(() => {}));
        await until(() => pool.stats().closedBy.idle === 1);
      },
      { name: 'worker' },
    );
    const steps = ['create', 'create, later', 'onDead', 'validate', 'validate, later', 'destroy'];
    expect(seen.map(([step]) => step)).toEqual([...steps, 'create', 'create, later', 'onDead', 'destroy']);
    for (const [step, scope, inStore] of seen) expect([step, scope, inStore]).toEqual([step, 'worker', undefined]);
  });

  it('a retry after a failure runs there, too', async () => {
    const server = new Server();
    const seen: unknown[] = [];
    server.onCreate = () => {
      seen.push([tryCurrentScope()?.name, store.getStore()]);
      if (server.attempts === 1) throw new Error('refused');
    };
    await withRoot(() => withScope(() => store.run({}, () => poolOf(server).use(() => {}))), { name: 'worker' });
    expect(seen).toEqual([
      ['worker', undefined],
      ['worker', undefined],
    ]);
  });

  it("use(fn) runs in the caller's own context", async () => {
    const mine = {};
    await withRoot(() =>
      withScope(
        () =>
          store.run(mine, () =>
            poolOf(new Server()).use(() => {
              expect(store.getStore()).toBe(mine);
              expect(currentScope().name).toBe('job');
            }),
          ),
        { name: 'job' },
      ),
    );
  });

  it("lets a job's store be collected while the connection that it opened lives on", async () => {
    const server = new Server();
    server.onCreate = () => turns(1);
    const pool = poolOf(server, { max: 2, maxSharers: 4 });
    const jobs: WeakRef<object>[] = [];
    const job = () => {
      const mine = { payload: new Array(1_000) };
      jobs.push(new WeakRef(mine));
      return store.run(mine, () =>
        withScope(async () => {
          await Promise.all([pool.use(() => turns(1)), pool.use(() => turns(1)), pool.use(() => turns(1))]);
          await pool.share(() => pool.share(() => turns(1)));
        }),
      );
    };
    await withRoot(async () => {
      await job();
      await job();
      await until(async () => {
        await turns(1);
        globalThis.gc?.();
        return jobs.every((ref) => ref.deref() === undefined);
      });
      expect(server.open).toBe(2);
    });
  });

  it('a factory may use another pool', async () => {
    const secrets = poolOf(new Server());
    const server = new Server();
    server.onCreate = () => secrets.use(() => {});
    await withRoot(async () => {
      await poolOf(server).use(() => {});
      expect(secrets.stats().acquired).toBe(1);
    });
  });

  it('a factory may use another pool while the root drains', async () => {
    const secrets = poolOf(new Server());
    const server = new Server();
    server.onCreate = () => secrets.use(() => {});
    const pool = poolOf(server);
    const root = new Scope({ parent: null, graceMs: 5_000 });
    const draining = gate();
    const task = root.spawn(async () => {
      await draining.promise;
      return pool.use((connection) => connection.id);
    });
    const closed = root.close();
    await until(() => root.state === 'draining');
    draining.open();
    expect(await task).toBe(1);
    await closed;
    expect(server.open).toBe(0);
  });
});
