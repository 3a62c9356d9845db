import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { currentScope, type Scope, tryCurrentScope } from 'scoped-pool';
import { scopeListener } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { warnings } from '../../support/warnings.ts';
import { abandon, listen, serverScope, start } from './server.ts';

const redis = useRedis();
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`http ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

/** Everything below a server's scope is gone but its pools. */
const isEmpty = (scope: Scope) => () => scope.tree().children.length === 0;

describe('scopeListener', () => {
  it('gives each request a scope of its own, over the pools of the server', async () => {
    const store = pool();
    const { scope, url, told } = await start(async (_, response) => {
      const { name, parent } = currentScope();
      expect(parent).toBe(scope);
      await store.incr('visits');
      response.end(name);
    });
    const names = await Promise.all(['/a', '/b?token=secret'].map(async (path) => (await fetch(url + path)).text()));
    expect(names).toEqual(['GET /a', 'GET /b']);
    await until(isEmpty(scope));
    expect(scope.run(() => store.stats())).toMatchObject({ inUse: 0, pending: 0, created: 1 });
    expect(told).toEqual([]);
  });

  it('is the scope of listeners of request and response, whenever they were added', async () => {
    const seen: [string, string | undefined][] = [];
    const note = (event: string) => () => void seen.push([event, tryCurrentScope()?.name]);
    const { scope, url } = await start((request, response) => {
      request.on('data', note('data'));
      response.on('finish', note('finish'));
      response.on('close', note('close'));
      request.on('end', () => {
        note('end')();
        response.end();
      });
    });
    await (await fetch(url, { method: 'POST', body: 'x' })).text();
    await until(isEmpty(scope));
    expect(seen).toEqual(['data', 'end', 'finish', 'close'].map((event) => [event, 'POST /']));
  });

  it('has one function emit for all requests, which is also right for other emitters', async () => {
    const emits = new Set<unknown>();
    const { url } = await start((request, response) => {
      for (const emitter of [request, response]) emits.add(emitter.emit);
      const other = new EventEmitter();
      let heard: unknown;
      other.on('event', (value: unknown) => {
        heard = value;
      });
      request.emit.call(other as never, 'event', 'value');
      response.end(heard);
    });
    for (let n = 0; n < 2; n++) expect(await (await fetch(url)).text()).toBe('value');
    expect(emits.size).toBe(1);
  });

  it('keeps no request while its connection idles', async () => {
    const messages: WeakRef<object>[] = [];
    const { url, server } = await start((request, response) => {
      messages.push(new WeakRef(request), new WeakRef(response));
      response.end();
    });
    await (await fetch(url)).text();
    await until(() => {
      globalThis.gc?.();
      return messages.every((message) => !message.deref());
    });
    expect(await promisify(server.getConnections.bind(server))()).toBe(1);
  });

  it('cancels a request whose client has gone, and gives back what it held when it ends', async () => {
    const store = pool({ max: 1 });
    const reasons: unknown[] = [];
    let waiting: unknown;
    const { scope, url } = await start(async () => {
      await store.use(async () => {
        const nested = store
          .use(() => {})
          .catch((error: unknown) => {
            waiting = error;
          });
        void nested;
        await new Promise<void>((resolve) => {
          currentScope().signal.addEventListener('abort', () => {
            reasons.push(currentScope().signal.reason);
            resolve();
          });
        });
      });
    });
    await abandon(url, () => until(() => scope.tree().children.length === 1 && scope.run(() => store.stats().inUse) === 1));
    await until(isEmpty(scope));
    expect(reasons).toMatchObject([{ code: 'ERR_CLIENT_GONE' }]);
    expect(waiting).toBeInstanceOf(Error);
    expect(scope.run(() => store.stats())).toMatchObject({ open: 1, idle: 1, inUse: 0 });
  });

  it('never gives a connection to the next request that this one may still use', async () => {
    const store = pool({ max: 1 });
    let late: Promise<unknown> | undefined;
    const ids: number[] = [];
    const { scope, url, told } = await start(
      async (request, response) => {
        if (request.url === '/late') {
          late = store.use(async (connection) => {
            ids.push(await connection.client('ID'));
            await connection.multi({ pipeline: false });
            await sleep(300);
            return connection.set('late', '1');
          });
          late.catch(() => {});
          await late;
        }
        await store.use(async (connection) => {
          ids.push(await connection.client('ID'));
          await connection.set('mine', '1');
        });
        response.end();
      },
      { graceMs: 50 },
    );
    await abandon(`${url}/late`, () => until(() => ids.length === 1));
    expect((await fetch(url)).status).toBe(200);
    expect(ids[1]).not.toBe(ids[0]);
    expect(await late?.catch((error: unknown) => error)).toBeInstanceOf(Error);
    expect(await redis().observer.mget('late', 'mine')).toEqual([null, '1']);
    expect(scope.run(() => store.stats())).toMatchObject({ leaked: 1 });
    await until(() => told.length === 2);
    expect(told).toMatchObject([{ code: 'ERR_SCOPE_TIMEOUT' }, { code: 'ERR_LEASE_ENDED' }]);
  });

  it('answers what the listener throws, now or later, and stays up', async () => {
    const boom = new Error('boom');
    const { url, told } = await start((request, response) => {
      if (request.url === '/now') throw boom;
      if (request.url === '/later') return Promise.reject(boom);
      if (request.url === '/half') {
        response.write('half');
        return sleep(10).then(() => Promise.reject(boom));
      }
      return response.end('fine');
    });
    expect((await fetch(`${url}/now`)).status).toBe(500);
    expect((await fetch(`${url}/later`)).status).toBe(500);
    await expect(fetch(`${url}/half`).then((response) => response.text())).rejects.toThrow();
    expect(await (await fetch(url)).text()).toBe('fine');
    expect(told).toEqual([boom, boom, boom]);
  });

  it('answers 503 with Retry-After when no connection can be had, when it takes too long and while the server closes', async () => {
    const store = pool({ max: 1 });
    const { scope, url, told } = await start(
      async (request, response) => {
        if (request.url === '/slow') await sleep(10_000, undefined, { signal: currentScope().signal });
        await store.use(() => response.end(), { acquireTimeoutMs: 20 });
      },
      { timeoutMs: 300 },
    );
    const lease = await scope.run(() => store.acquire());
    const full = await fetch(url);
    lease.release();
    expect([full.status, full.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await fetch(url)).status).toBe(200);
    const slow = await fetch(`${url}/slow`);
    expect([slow.status, slow.headers.get('retry-after')]).toEqual([503, '1']);
    expect(told).toMatchObject([{ code: 'ERR_POOL_ACQUIRE_TIMEOUT' }, { code: 'ERR_REQUEST_TIMEOUT' }]);
    await scope.close();
    const closed = await fetch(url);
    expect([closed.status, closed.headers.get('retry-after'), closed.headers.get('connection')]).toEqual([503, '1', 'close']);
  });

  it('refuses at once what is no scope, a closed one, and wrong options', async () => {
    const closed = serverScope();
    await closed.close();
    const nothing = () => {};
    expect(() => scopeListener({} as Scope, nothing)).toThrow('scopeListener(): its first argument must be a Scope; got an object');
    expect(() => scopeListener(closed, nothing)).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
    expect(() => scopeListener(serverScope(), 'x' as never)).toThrow('its listener must be a function; got "x"');
    expect(() => scopeListener(serverScope(), nothing, { timeoutMs: 0 })).toThrow('timeoutMs must be milliseconds from 1');
    expect(() => scopeListener(serverScope(), nothing, { grace: 1 } as object)).toThrow('did you mean "graceMs"?');
  });

  it('stays up when onError is broken, and tells of that as well', async () => {
    const seen = warnings();
    const [boom, broken] = [new Error('boom'), new Error('broken')];
    for (const onError of [
      () => {
        throw broken;
      },
      () => Promise.reject(broken),
    ]) {
      const listener = () => {
        throw boom;
      };
      const { url, scope } = await start(listener, { onError });
      expect((await fetch(url)).status).toBe(500);
      await until(isEmpty(scope));
    }
    await until(() => seen.length === 4);
    expect(seen).toEqual([broken, boom, broken, boom]);
  });

  it('answers 500 when the function that names requests throws', async () => {
    const scope = serverScope();
    const told: unknown[] = [];
    const boom = new Error('no name');
    const name = () => {
      throw boom;
    };
    const url = await listen(
      createServer(scopeListener(scope, (_, response) => response.end(), { name, onError: (error) => told.push(error) })),
    );
    expect((await fetch(url)).status).toBe(500);
    expect([told, scope.tree().children]).toEqual([[boom], []]);
  });
});
