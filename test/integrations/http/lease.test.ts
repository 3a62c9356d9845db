import { createServer, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AcquireTimeoutError, currentScope, type PoolDeadlockError, type Scope, withScope } from 'scoped-pool';
import { scopeServer } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { listen, serverScope } from './server.ts';

const redis = useRedis();
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`held ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

const inFlight = (scope: Scope) => scope.tree().children.filter(({ name }) => name !== 'http server').length;

describe('scope.lease', () => {
  it('is one connection for all of a request, given back at its end', async () => {
    const store = pool({ max: 1 });
    const scope = serverScope();
    const ids: number[][] = [];
    const server = scopeServer(
      scope,
      createServer(async (_, response) => {
        const [one, again] = await Promise.all([currentScope().lease(store), currentScope().lease(store)]);
        ids.push([await one.client('ID'), await again.client('ID'), await (await currentScope().lease(store)).client('ID')]);
        response.end();
      }),
    );
    const url = await listen(server);
    for (let n = 0; n < 2; n++) expect((await fetch(url)).status).toBe(200);
    expect(new Set(ids.flat()).size).toBe(1);
    await until(() => scope.run(() => store.stats().idle) === 1);
  });

  it('is closed and not given back when the request was cancelled', async () => {
    const store = pool({ max: 1 });
    const scope = serverScope();
    const server = scopeServer(
      scope,
      createServer(async () => {
        await currentScope().lease(store);
        await new Promise(() => {});
      }),
      { graceMs: 50, onError: () => {} },
    );
    const url = await listen(server);
    const sent = request(url).on('error', () => {});
    sent.end();
    await until(() => inFlight(scope) === 1 && scope.run(() => store.stats().inUse) === 1);
    sent.destroy();
    await until(() => inFlight(scope) === 0);
    await until(() => scope.run(() => store.stats().closedBy.destroyed) === 1);
    expect(scope.run(() => store.stats())).toMatchObject({ open: 0, leaked: 0 });
  });

  it('throws when there is none, and asks again the next time', async () => {
    const store = pool({ max: 1, acquireTimeoutMs: 300 });
    const scope = serverScope();
    await scope.run(async () => {
      const lease = await store.acquire();
      await expect(scope.lease(store)).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      lease.release();
      expect(await (await scope.lease(store)).ping()).toBe('PONG');
    });
  });

  it('is a deadlock when requests that hold one wait for another, and the newest of them is told', async () => {
    const store = pool({ max: 2 });
    const scope = serverScope();
    const server = scopeServer(
      scope,
      createServer(async (request, response) => {
        const held = await currentScope().lease(store);
        await until(() => store.stats().inUse === 2 || request.url === '/alone');
        // Below the request, too: it waits for what is begun in it.
        const said = await withScope(() => store.use((connection) => connection.ping())).catch(
          (error: unknown) => (error as PoolDeadlockError).code,
        );
        response.end(`${await held.ping()} ${said}`);
      }),
    );
    const url = await listen(server);
    const both = await Promise.all(['/a', '/b'].map(async (path) => (await fetch(url + path)).text()));
    expect(both.sort()).toEqual(['PONG ERR_POOL_DEADLOCK', 'PONG PONG']);
    expect(await (await fetch(`${url}/alone`)).text()).toBe('PONG PONG');
  });

  it('of the server is no deadlock of the requests, which it does not wait for', async () => {
    const store = pool({ max: 2, acquireTimeoutMs: 500 });
    const scope = serverScope();
    await scope.run(() => scope.lease(store));
    const isWaiting = (waiters: number) => until(() => scope.run(() => store.stats().pending) === waiters);
    const server = scopeServer(
      scope,
      createServer(async (request, response) => {
        const nested = () => store.use((connection) => connection.ping()).catch((error: unknown) => (error as AcquireTimeoutError).code);
        response.end(await store.use((connection) => (request.url === '/nested' ? nested() : connection.ping())));
      }),
    );
    const url = await listen(server);
    const first = fetch(`${url}/nested`);
    await isWaiting(1);
    await sleep(300);
    const second = fetch(`${url}/plain`);
    expect(await (await first).text()).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
    expect(await (await second).text()).toBe('PONG');
  });
});
