import { createServer, request as httpRequest } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import express from 'express';
import { currentScope, definePool, type Pool, Scope, withRoot, withScope } from 'scoped-pool';
import { type RequestOptions, scopeServer } from 'scoped-pool/http';
import { describe, expect, it } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { until } from '../../support/until.ts';
import { listen, serverScope } from './server.ts';

/** What a pool that cannot keep anybody off lends: whoever had it may go on with it. */
interface Plain {
  readonly id: number;
  isInTransaction: boolean;
}

let pools = 0;

function plainPool(max = 1): Pool<Plain> {
  let ids = 0;
  return definePool(`plain ${++pools}`, { max, create: () => ({ id: ++ids, isInTransaction: false }) });
}

const show = ({ id, isInTransaction }: Plain) => `${id} ${isInTransaction ? 'in a transaction' : 'clean'}`;

async function appOf(app: express.Express, options: RequestOptions = {}): Promise<{ scope: Scope; url: string }> {
  const scope = serverScope();
  return { scope, url: await listen(scopeServer(scope, createServer(app), options)) };
}

describe('A connection that a scope keeps', () => {
  it('reaches nobody whom code may meet of which nobody knows whether it has ended', async () => {
    const store = plainPool();
    const app = express();
    app.get('/late', async (_, response) => {
      const connection = await currentScope().lease(store);
      connection.isInTransaction = true;
      response.end();
      await sleep(50);
      connection.isInTransaction = false;
    });
    app.get('/', async (_, response) => void response.end(show(await currentScope().lease(store))));
    const { scope, url } = await appOf(app);
    await fetch(`${url}/late`);
    expect(await (await fetch(url)).text()).toBe('2 clean');
    await until(() => scope.run(() => store.stats().inUse) === 0);
  });

  it('is given back where all code has ended, and lent on', async () => {
    const store = plainPool();
    await withRoot(async (root) => {
      for (let n = 0; n < 3; n++) {
        const child = new Scope({ parent: root, name: 'child' });
        expect((await child.lease(store)).id).toBe(1);
        await child.close();
      }
      expect(store.stats()).toMatchObject({ created: 1, inUse: 0 });
    });
  });

  it.each([
    ['a background task', (scope: Scope) => void scope.spawn(() => sleep(200), { background: true })],
    ['a closer', (scope: Scope) => void scope.onClose(() => sleep(200), { timeoutMs: 5 })],
  ])('is closed where %s was left behind that may use it', async (_, leave) => {
    const store = plainPool();
    const root = new Scope({ parent: null, onSuppressed: () => {} });
    const child = new Scope({ parent: root, name: 'child', cancelMs: 5 });
    await child.lease(store);
    leave(child);
    await child.close().catch(() => {});
    expect(root.run(() => store.stats().inUse)).toBe(0);
    await until(() => root.run(() => store.stats().closedBy.destroyed) === 1);
    await root.close();
  });

  it('is there for every closer, whenever that was added', async () => {
    const store = plainPool();
    await withRoot(async (root) => {
      const seen: number[] = [];
      const child = new Scope({ parent: root, name: 'child' });
      child.onClose(async () => void seen.push((await child.lease(store)).id, store.stats().inUse));
      await child.lease(store);
      await child.close();
      expect([seen, store.stats().inUse]).toEqual([[1, 1], 0]);
    });
  });

  it('is no longer waited for when the scope closes', async () => {
    const store = plainPool();
    await withRoot(async (root) => {
      await store.use(async () => {
        const child = new Scope({ parent: root, name: 'child' });
        const waiting = child.lease(store).catch((error: unknown) => error);
        await until(() => store.stats().pending === 1);
        await child.close({ graceMs: 0, cancelMs: 0 });
        expect(await waiting).toMatchObject({ code: expect.stringMatching(/^ERR_SCOPE_C/) });
      });
      expect(store.stats()).toMatchObject({ inUse: 0, pending: 0 });
    });
  });

  it('is another one when it has broken', async () => {
    let breakIt = () => {};
    let ids = 0;
    const store = definePool('breaking', {
      max: 1,
      create: () => ({ id: ++ids }),
      onDead: (_, report) => {
        breakIt = () => report(new Error('broken'));
      },
    });
    await withRoot(async (root) => {
      expect((await root.lease(store)).id).toBe(1);
      breakIt();
      expect(await Promise.all([root.lease(store), root.lease(store)])).toMatchObject([{ id: 2 }, { id: 2 }]);
    });
  });

  it('is one of a deadlock, whichever of several that were taken at once', async () => {
    const stores = [plainPool(), plainPool()];
    await withRoot(() =>
      withScope(async (scope) => {
        await Promise.all(stores.map((store) => scope.lease(store)));
        for (const store of stores) await expect(store.use(() => {})).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      }),
    );
  });

  it('is named after its scope, wherever it is shown', async () => {
    const store = plainPool();
    await withRoot(async (root) => {
      const child = new Scope({ parent: root, name: 'GET /a' });
      await child.lease(store);
      expect(store.inspect().connections[0]?.leases).toMatchObject([{ scope: 'GET /a' }]);
      expect(child.tree().children).toMatchObject([{ kind: 'lease', name: store.name }]);
      await child.close();
    });
  });

  it('is no deadlock of those who may wait, for it was taken inside a use(fn) that goes on', async () => {
    const store = plainPool(2);
    const uses = () =>
      withScope((scope) =>
        Promise.all([
          store.use(async () => {
            await scope.lease(store);
            await sleep(250);
            return 'first';
          }),
          sleep(20).then(() => store.use(() => 'second')),
        ]),
      );
    expect(await withRoot(uses)).toEqual(['first', 'second']);
  });

  it('is no deadlock of a background task, which it does not wait for', async () => {
    const store = plainPool();
    const task = ({ signal }: { signal: AbortSignal }) => store.use(() => {}, { signal });
    const done = withRoot(() =>
      withScope(async (scope) => {
        await scope.lease(store);
        scope.spawn(task, { background: true });
        await sleep(200);
        return 'done';
      }),
    );
    expect(await done).toBe('done');
  });

  it('is the same while its pool closes', async () => {
    const store = plainPool();
    await withRoot(async (root) => {
      const connection = await root.lease(store);
      const closed = store.close({ graceMs: 50 });
      expect(await root.lease(store)).toBe(connection);
      await closed;
    });
  });

  it('need not be awaited', async () => {
    const store = plainPool();
    const unhandled = uncaught('unhandledRejection');
    const onSuppressed = () => {};
    const leave = () =>
      withScope(
        async (scope) => {
          void scope.lease(store);
          await sleep(5);
        },
        { onSuppressed },
      );
    await withRoot(() => store.use(leave));
    await sleep(5);
    expect(unhandled).toEqual([]);
  });

  it('is closed where a scope below has left something behind', async () => {
    const store = plainPool();
    await withRoot(async () => {
      await withScope(async (scope) => {
        await scope.lease(store);
        const below = withScope((inner) => void inner.spawn(() => sleep(100)), { graceMs: 5, cancelMs: 5 });
        await expect(below).rejects.toMatchObject({ code: 'ERR_SCOPE_TIMEOUT' });
      });
      await until(() => store.stats().closedBy.destroyed === 1);
    });
  });

  it('can be had of pools alone', async () => {
    await withRoot(async (root) => {
      for (const wrong of [undefined, {}]) {
        await expect(root.lease(wrong as never)).rejects.toMatchObject({
          code: 'ERR_INVALID_OPTION',
          message: expect.stringMatching(/^scope\.lease\(\): its pool must be a pool/),
        });
      }
      const store = plainPool();
      const acquire = async () => {
        const lease = await store.acquire();
        return { resource: lease.resource, release: () => lease.release() };
      };
      const wrapped = { name: 'wrapped', acquire };
      await expect(root.lease(wrapped as never)).rejects.toThrow('which lends by itself');
      expect(store.stats().inUse).toBe(0);
    });
  });
});

describe('use(fn) in a request that was cancelled', () => {
  it('does not give back a connection that the source of a stream may still use', async () => {
    const store = plainPool();
    const app = express();
    async function* rows(connection: Plain): AsyncGenerator<string> {
      for (;;) {
        connection.isInTransaction = true;
        await sleep(50);
        connection.isInTransaction = false;
        yield 'x'.repeat(1_000);
      }
    }
    app.get('/rows', (_, response) => {
      void store.use((connection) => promisify(pipeline)(Readable.from(rows(connection)), response)).catch(() => {});
    });
    app.get('/', async (_, response) => void response.end(await store.use(show)));
    const { url } = await appOf(app, { onError: () => {} });
    const sent = httpRequest(`${url}/rows`).on('error', () => {});
    sent.end();
    await new Promise((resolve) => sent.once('response', resolve));
    await sleep(20);
    sent.destroy();
    expect(await (await fetch(url)).text()).toBe('2 clean');
  });
});
