import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer as createSecureServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdaptorServer, getRequestListener, type HttpBindings } from '@hono/node-server';
import express from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import { streamText } from 'hono/streaming';
import Koa from 'koa';
import { currentScope, type Scope, tryCurrentScope } from 'scoped-pool';
import { scopeHono, scopeListener, scopeMiddleware, scopePlugin, scopeServer } from 'scoped-pool/http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { until } from '../../support/until.ts';
import { listen, serverScope } from './server.ts';
import { requestsOf } from './work.ts';

type Use = (app: 'inner' | 'outer') => Scope;

/** Each app uses its middleware twice, and answers with the names of the scopes from that of the request up. */
const APPS: Readonly<Record<string, (use: Use) => Promise<Server> | Server>> = {
  scopeMiddleware: (use) => {
    const app = express();
    app.use(scopeMiddleware(use('outer')), scopeMiddleware(use('inner')));
    app.get('/', (_, response) => void response.send(pathHere()));
    return createServer(app);
  },
  scopePlugin: async (use) => {
    const app = fastify();
    app.register(scopePlugin(use('outer')));
    app.register(scopePlugin(use('inner')));
    app.get('/', () => pathHere());
    await app.ready();
    return app.server;
  },
  scopeHono: (use) => {
    const app = new Hono();
    app.use(scopeHono(use('outer')));
    app.use(scopeHono(use('inner')));
    app.get('/', (c) => c.text(pathHere()));
    return createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }));
  },
};

function pathHere(): string {
  const names: string[] = [];
  for (let scope: Scope | null = currentScope(); scope; scope = scope.parent) names.push(scope.name);
  return names.join(' < ');
}

describe.each(Object.entries(APPS))('%s', (name, make) => {
  it('gives a request one scope, however often it is used', async () => {
    const scopes = { outer: serverScope({ name: 'outer' }), inner: serverScope({ name: 'inner' }) };
    const url = await listen(await make((which) => scopes[which]));
    expect(await (await fetch(url)).text()).toBe('GET / < outer');
    await until(() => requestsOf(scopes.outer).length === 0);
  });

  it('leaves a request the scope that its server has given it', async () => {
    const scope = serverScope({ name: 'server' });
    const url = await listen(scopeServer(scope, await make(() => serverScope({ name: 'never' }))));
    expect(await (await fetch(url)).text()).toBe('GET / < server');
  });

  it('answers 503 while the server closes, and calls nothing that comes after it', async () => {
    const unhandled = uncaught('unhandledRejection');
    const scope = serverScope();
    const url = await listen(await make(() => scope));
    await scope.close();
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('retry-after'), await refused.text()]).toEqual([503, '1', '']);
    await sleep(10);
    expect(unhandled).toEqual([]);
  });

  it('refuses at once a closed scope and wrong options', async () => {
    const closed = serverScope();
    await closed.close();
    const by = { scopeMiddleware, scopePlugin, scopeHono }[name] as (scope: Scope, options?: object) => unknown;
    expect(() => by(closed)).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
    expect(() => by(serverScope(), { graceMs: -1 })).toThrow(`${name}(): graceMs must be`);
  });
});

describe('middleware', () => {
  it('has a type that fits wherever frameworks take one', async () => {
    const scope = serverScope();
    express.Router().use(scopeMiddleware(scope)).use('/path', scopeMiddleware(scope));
    express().get('/', scopeMiddleware(scope), (_, response) => void response.end());
    new Hono<{ Bindings: HttpBindings; Variables: { user: string } }>().use('*', scopeHono(scope)).get('/', (c) => c.text(c.get('user')));
    new Hono().basePath('/path').on('GET', '/', scopeHono(scope), (c) => c.text(''));
    await fastify({ http2: true }).register(scopePlugin(scope), { prefix: '/path' });
    await fastify({ https: {} }).register(async (part) => void part.register(scopePlugin(scope)));
  });
});

describe('scopeListener and scopeServer', () => {
  it('have types that fit what Node and frameworks give and take', () => {
    const scope = serverScope();
    const servers = [
      createServer(scopeListener(scope, (request, response) => void response.end(`${request.url}`))),
      createServer(scopeListener(scope, express())),
      createSecureServer({}, scopeListener(scope, new Koa().callback())),
      createHttp2Server(scopeListener(scope, (_, response) => void response.end())),
      createHttp2Server(scopeListener(scope, (_: Http2ServerRequest, response: Http2ServerResponse) => void response.stream.end())),
      scopeServer(scope, createAdaptorServer({ fetch: new Hono().fetch })),
      scopeServer(scope, fastify().server),
    ];
    for (const server of servers) expect(server.listenerCount('request')).toBeGreaterThan(0);
  });
});

describe('scopePlugin', () => {
  it('is stopped by a closer that closes Fastify, when the requests that run are answered', async () => {
    const scope = serverScope();
    const events: string[] = [];
    const app = fastify({ forceCloseConnections: 'idle' });
    app.register(scopePlugin(scope));
    app.get('/', async () => {
      await sleep(50);
      events.push('answered');
      return 'fine';
    });
    app.addHook('onClose', async () => void events.push('onClose'));
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    scope.onClose(() => app.close());
    const answer = fetch(url);
    await until(() => scope.tree().children.some(({ name }) => name === 'GET /'));
    await scope.close();
    expect([await (await answer).text(), events, app.server.listening]).toEqual(['fine', ['answered', 'onClose'], false]);
  });

  it('gives a scope to requests that are injected, and ends it', async () => {
    const scope = serverScope();
    const app = fastify();
    await app.register(scopePlugin(scope));
    app.post('/', async () => pathHere());
    for (let n = 0; n < 3; n++) expect((await app.inject({ method: 'POST', url: '/', payload: { n } })).body).toBe('POST / < server');
    await until(() => requestsOf(scope).length === 0);
    await app.close();
  });
});

describe('scopeHono', () => {
  it('throws where requests do not come from @hono/node-server, and says what to use there', async () => {
    const app = new Hono();
    const errors: Error[] = [];
    app.use(scopeHono(serverScope()));
    app.get('/', (c) => c.text('never'));
    app.onError((error, c) => {
      errors.push(error);
      return c.text('', 500);
    });
    expect((await app.request('/')).status).toBe(500);
    expect((await app.request('/', {}, { incoming: {} })).status).toBe(500);
    const message = expect.stringContaining('scopeHono(): c.env.incoming and c.env.outgoing must be');
    expect(errors).toMatchObject([{ code: 'ERR_INVALID_OPTION', message }, { message: expect.stringContaining('scopeFetch()') }]);
  });

  it('hands on what comes after it to what comes before it: its answer, what it throws', async () => {
    const told: unknown[] = [];
    const scope = serverScope();
    const before: unknown[] = [];
    const app = new Hono();
    app.use(async (_, next) => {
      // What is no Error Hono leaves to whoever has called.
      await next().catch((thrown: unknown) => before.push(thrown));
      before.push('ended');
    });
    app.use(scopeHono(scope, { onError: (error) => told.push(error) }));
    app.get('/', () => Promise.reject('no Error'));
    app.onError((_, c) => c.text('', 500));
    const url = await listen(createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false })));
    await fetch(url);
    expect(before).toEqual(['no Error', 'ended']);
    await scope.close();
    expect((await fetch(url)).status).toBe(503);
    expect(before).toEqual(['no Error', 'ended', 'ended']);
    expect(told).toEqual([]);
  });

  it('leaves errors to Hono, and ends the scope when the handlers have settled, too', async () => {
    const scope = serverScope();
    const app = new Hono();
    let isOver = false;
    app.use(scopeHono(scope, { onError: () => expect.unreachable() }));
    app.get('/thrown', () => {
      throw new Error('for Hono');
    });
    app.get('/answered', async (c) => {
      const { env } = c as unknown as { env: { outgoing: { end(text: string): void } } };
      env.outgoing.end('answered');
      await sleep(60);
      isOver = tryCurrentScope()?.state === 'draining';
      return new Response(null, { headers: { 'x-hono-already-sent': 'true' } });
    });
    app.onError(({ message }, c) => c.text(message, 500));
    const url = await listen(createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server);
    expect(await (await fetch(`${url}/thrown`)).text()).toBe('for Hono');
    await until(() => requestsOf(scope).length === 0);
    expect(await (await fetch(`${url}/answered`)).text()).toBe('answered');
    expect(requestsOf(scope)).toEqual(['GET /answered']);
    await until(() => requestsOf(scope).length === 0);
    expect(isOver).toBe(true);
  });

  it.each([
    ['listener', 'as it is', ['GET /']],
    ['server', 'as it is', ['GET /']],
    ['middleware', 'bound', ['GET /']],
    ['middleware', 'as it is', ['GET /', undefined]],
  ])('wired by the %s, has a pull that is %s run in %j', async (way, how, names) => {
    const scope = serverScope();
    const pulled: (string | undefined)[] = [];
    const pull = async (controller: ReadableStreamDefaultController) => {
      pulled.push(tryCurrentScope()?.name);
      await sleep(1);
      pulled.push(tryCurrentScope()?.name);
      if (pulled.length < 60) controller.enqueue(Buffer.alloc(20_000));
      else controller.close();
    };
    const app = new Hono();
    if (way === 'middleware') app.use(scopeHono(scope));
    app.get('/', (c) => c.body(new ReadableStream({ pull: how === 'bound' ? currentScope().bind(pull) : pull }, { highWaterMark: 0 })));
    const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    const server = createServer(way === 'listener' ? scopeListener(scope, listener) : listener);
    const url = await listen(way === 'server' ? scopeServer(scope, server) : server);
    await (await fetch(url)).arrayBuffer();
    expect(new Set(pulled)).toEqual(new Set(names));
  });

  it('has what the helpers of hono/streaming call run in the scope', async () => {
    const scope = serverScope();
    const called = new Set<string | undefined>();
    const app = new Hono();
    app.use(scopeHono(scope));
    app.get('/', (c) =>
      streamText(c, async (stream) => {
        for (let n = 0; n < 30; n++) {
          called.add(tryCurrentScope()?.name);
          await stream.write('x'.repeat(20_000));
        }
      }),
    );
    const url = await listen(createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false })));
    expect((await (await fetch(url)).text()).length).toBe(600_000);
    expect([...called]).toEqual(['GET /']);
  });
});

describe('servers that frameworks have made', () => {
  const path = async (server: unknown) => {
    const { address } = server as Server;
    await until(() => address.call(server));
    const { port } = address.call(server) as { port: number };
    return (await fetch(`http://127.0.0.1:${port}/`)).text();
  };

  it('get scopes by scopeServer, and are stopped by them', async () => {
    const unhandled = uncaught('unhandledRejection');
    const scope = serverScope();
    const app = express().get('/', (_, response) => void response.send(pathHere()));
    const koa = new Koa().use((context) => void Object.assign(context, { body: pathHere() }));
    const hono = new Hono().get('/', (c) => c.text(pathHere()));
    const fast = fastify();
    onTestFinished(() => fast.close());
    fast.get('/', () => pathHere());
    await fast.listen({ port: 0, host: '127.0.0.1' });
    const servers = [
      scopeServer(scope, app.listen(0)),
      scopeServer(scope, koa.listen(0)),
      scopeServer(scope, fast.server),
      scopeServer(scope, createAdaptorServer({ fetch: hono.fetch, overrideGlobalObjects: false }).listen(0) as Server),
    ];
    expect(await Promise.all(servers.map(path))).toEqual(servers.map(() => 'GET / < server'));
    await scope.close();
    expect(servers.map(({ listening }) => listening)).toEqual(servers.map(() => false));
    expect(unhandled).toEqual([]);
  });
});
