import { once } from 'node:events';
import { request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { currentScope, type Scope, tryCurrentScope } from 'scoped-pool';
import { type RequestOptions, scopeFetch, scopeServer } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { abandon, serverScope } from './server.ts';

const redis = useRedis();
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`fetch server ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

const isEmpty = (scope: Scope) => () => scope.tree().children.length === 0;

/** A server of @hono/node-server whose `fetch` is wrapped. */
async function start(app: Hono, options: RequestOptions = {}) {
  const scope = serverScope();
  const told: unknown[] = [];
  const fetch = scopeFetch(scope, app.fetch, { onError: (error) => told.push(error), ...options });
  const server = serve({ fetch, port: 0, hostname: '127.0.0.1' }) as Server;
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { scope, told, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Asks, and goes away when so many bytes of the answer have come or so much time has passed. */
function leave(url: string, afterBytes: number, afterMs: number): Promise<void> {
  return new Promise((resolve) => {
    let seen = 0;
    const asked = httpRequest(url, (response) => {
      response.on('error', () => {});
      response.on('data', (chunk: Buffer) => {
        seen += chunk.length;
        if (seen >= afterBytes) asked.destroy();
      });
    });
    const timer = setTimeout(() => asked.destroy(), afterMs);
    asked.on('error', () => {});
    asked.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    asked.end();
  });
}

describe('scopeFetch in a server', () => {
  it('answers with a body of known length, a stream, nothing, and to HEAD', async () => {
    const app = new Hono();
    app.get('/text', (c) => c.text('text', { headers: { 'set-cookie': 'a=1' } }));
    app.get('/stream', (c) =>
      stream(c, async (out) => {
        for (let n = 0; n < 3; n++) {
          await out.write(`${tryCurrentScope()?.name};`);
          await sleep(5);
        }
      }),
    );
    app.get('/none', (c) => c.body(null, 204));
    app.post('/echo', async (c) => c.text(await c.req.text()));
    const { scope, told, url } = await start(app);
    const text = await fetch(`${url}/text`);
    expect([text.headers.get('content-length'), text.headers.get('set-cookie'), await text.text()]).toEqual(['4', 'a=1', 'text']);
    expect(await (await fetch(`${url}/stream`)).text()).toBe('GET /stream;'.repeat(3));
    expect((await fetch(`${url}/none`)).status).toBe(204);
    expect((await fetch(`${url}/text`, { method: 'HEAD' })).status).toBe(200);
    expect(await (await fetch(`${url}/echo`, { method: 'POST', body: 'said' })).text()).toBe('said');
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
    await until(isEmpty(scope));
    expect(told).toEqual([]);
  });

  it('never gives a connection to the next request that an abandoned one may still use', async () => {
    const store = pool({ max: 1 });
    const ids: number[] = [];
    let late: Promise<unknown> | undefined;
    const app = new Hono();
    app.onError((error, c) => c.text(error.message, 500));
    app.get('/late', async (c) => {
      late = store.use(async (connection) => {
        ids.push(await connection.client('ID'));
        await connection.multi({ pipeline: false });
        await sleep(300);
        return connection.set('late', '1');
      });
      late.catch(() => {});
      await late;
      return c.text('late');
    });
    app.get('/', async (c) => {
      await store.use(async (connection) => {
        ids.push(await connection.client('ID'));
        await connection.set('mine', '1');
      });
      return c.text('mine');
    });
    const { scope, url } = await start(app, { graceMs: 50 });
    await abandon(`${url}/late`, () => until(() => ids.length === 1));
    expect(await (await fetch(url)).text()).toBe('mine');
    expect(ids[1]).not.toBe(ids[0]);
    expect(await late?.catch((error: unknown) => error)).toMatchObject({ code: 'ERR_LEASE_ENDED' });
    expect(await redis().observer.mget('late', 'mine')).toEqual([null, '1']);
    expect(scope.run(() => store.stats())).toMatchObject({ leaked: 1 });
    await until(isEmpty(scope));
  });

  it('leaves nothing behind of 200 requests, of which a third is abandoned', async () => {
    const store = pool({ max: 4, acquireTimeoutMs: 20_000 });
    const wrong: unknown[] = [];
    const app = new Hono();
    app.onError((error, c) => c.text(error.message, 500));
    app.get('/plain/:id', async (c) => {
      const { name } = currentScope();
      await store.set(`id:${c.req.param('id')}`, c.req.param('id'));
      if (tryCurrentScope()?.name !== name) wrong.push(name);
      return c.text(`${await store.get(`id:${c.req.param('id')}`)}`);
    });
    app.get('/held/:id', (c) =>
      store.use(async (connection) => {
        const id = await connection.client('ID');
        await sleep(Math.random() * 10);
        if ((await connection.client('ID')) !== id) wrong.push('another connection');
        return c.text(c.req.param('id'));
      }),
    );
    app.get('/stream/:id', (c) => {
      const { name } = currentScope();
      async function* source() {
        for (let n = 0; n < 4; n++) {
          if (tryCurrentScope()?.name !== name) wrong.push(name);
          yield new TextEncoder().encode(`${await store.echo(c.req.param('id'))};`);
          await sleep(Math.random() * 5);
        }
      }
      return new Response(ReadableStream.from(source()));
    });
    const { scope, url, told } = await start(app, { graceMs: 2_000 });
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => logged.mockRestore());
    const most: number[] = [];
    const kinds = ['plain', 'held', 'stream'] as const;
    const one = async (n: number) => {
      const kind = kinds[n % 3];
      // Of each kind every third.
      if (Math.floor(n / 3) % 3 === 0) return leave(`${url}/${kind}/${n}`, Math.floor(Math.random() * 8), Math.random() * 60);
      const text = await (await fetch(`${url}/${kind}/${n}`)).text();
      most.push((await redis().clients()).length);
      if (text !== (kind === 'stream' ? `${n};`.repeat(4) : `${n}`)) wrong.push([kind, n, text]);
    };
    await Promise.all(Array.from({ length: 200 }, (_, n) => one(n)));
    await until(isEmpty(scope));
    expect([wrong, told, logged.mock.calls]).toEqual([[], [], []]);
    expect(scope.run(() => store.stats())).toMatchObject({ inUse: 0, pending: 0, leaked: 0 });
    expect(Math.max(...most)).toBeLessThanOrEqual(4);
    expect(most.length).toBeGreaterThan(120);
  });

  it('works below scopeServer, which closes the server', async () => {
    const store = pool();
    const app = new Hono();
    app.get('/', async (c) => c.text(`${await store.incr('below')}`));
    const { scope, server, url, told } = await start(app);
    scopeServer(scope, server);
    expect(await (await fetch(url)).text()).toBe('1');
    await until(() => scope.tree().children.length === 1);
    await scope.close();
    expect([server.listening, told, await redis().clients('sp:')]).toEqual([false, [], []]);
  });
});
