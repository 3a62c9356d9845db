import { once } from 'node:events';
import { createServer, IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { currentScope, definePool, Scope } from 'scoped-pool';
import { readiness, scopeFetch, scopeListener, scopeMiddleware, scopeServer } from 'scoped-pool/http';
import { describe, expect, it } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { until } from '../../support/until.ts';
import { listen, serverScope, start } from './server.ts';

const doors = (scope: Scope) => scope.tree().children.filter(({ name }) => name === 'http server').length;

describe('scopeServer', () => {
  it('gives each handler the scope of its request, whoever calls it', async () => {
    const waiting: (() => void)[] = [];
    const app = express();
    // As whoever looks many users up at once.
    app.use((_request, _response, next) => {
      waiting.push(next);
      if (waiting.length === 2) for (const each of waiting.splice(0)) each();
    });
    const scope = serverScope();
    app.use(scopeMiddleware(scope));
    app.get('/:name', (_, response) => void response.send(currentScope().name));
    const url = await listen(scopeServer(scope, createServer(app)));
    const names = await Promise.all(['/a', '/b'].map(async (path) => (await fetch(url + path)).text()));
    expect(names).toEqual(['GET /a', 'GET /b']);
  });

  it('knows what listeners promise that were added later, and of other events', async () => {
    const told: unknown[] = [];
    const unhandled = uncaught('unhandledRejection');
    const server = scopeServer(serverScope(), createServer(), { onError: (error) => told.push(error) });
    server.on('request', () => Promise.reject(new Error('request')));
    server.on('checkContinue', () => Promise.reject(new Error('checkContinue')));
    const url = await listen(server);
    expect((await fetch(url)).status).toBe(500);
    const sent = request(url, { method: 'POST', headers: { expect: '100-continue' } });
    sent.flushHeaders();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    sent.destroy();
    expect([answer.statusCode, told, unhandled]).toMatchObject([500, [{ message: 'request' }, { message: 'checkContinue' }], []]);
  });

  it('lets a listener be taken away, as a hot reload does', async () => {
    const before = (_: IncomingMessage, response: { end(text: string): unknown }) => response.end('before');
    const server = scopeServer(serverScope(), createServer(before));
    const url = await listen(server);
    expect(await (await fetch(url)).text()).toBe('before');
    server.removeListener('request', before);
    server.once('request', (_, response) => void response.end('once'));
    expect(await (await fetch(url)).text()).toBe('once');
    server.on('request', (_, response) => void response.end('after'));
    expect(await (await fetch(url)).text()).toBe('after');
  });

  it('answers 503 with Retry-After what it cancels when it closes', async () => {
    const scope = serverScope();
    const reasons: unknown[] = [];
    const server = createServer(
      () => new Promise(() => void currentScope().signal.addEventListener('abort', () => reasons.push(currentScope().signal.reason))),
    );
    const url = await listen(scopeServer(scope, server, { graceMs: 50, onError: () => {} }));
    const answered = fetch(url);
    await until(() => scope.tree().children.some(({ name }) => name === 'GET /'));
    await scope.close({ graceMs: 20 }).catch(() => {});
    const { status, headers } = await answered;
    expect([status, headers.get('retry-after'), reasons]).toMatchObject([503, '1', [{ code: 'ERR_SERVER_CLOSING' }]]);
  });

  it('has a client that is answered while it closes connect anew', async () => {
    const scope = serverScope();
    let answer = () => {};
    const server = scopeServer(
      scope,
      createServer((_, response) => {
        answer = () => response.end();
      }),
    );
    const url = await listen(server);
    const answered = fetch(url);
    await until(() => scope.tree().children.length === 2);
    const closed = scope.close();
    await sleep(5);
    answer();
    expect((await answered).headers.get('connection')).toBe('close');
    await closed;
  });

  it('is ready no more once it is cancelled, and does not take over a server then', async () => {
    const scope = serverScope();
    expect(readiness(scope)).toMatchObject({ ready: true, status: 200 });
    scope.cancel();
    expect(readiness(scope)).toMatchObject({ ready: false, status: 503 });
    const server = createServer((_, response) => void response.end('untouched'));
    expect(() => scopeServer(scope, server)).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CANCELLED' }));
    expect(await (await fetch(await listen(server))).text()).toBe('untouched');
    expect(() => readiness(undefined as never)).toThrow('readiness(): its argument must be a Scope');
  });

  it('forgets a server that was closed, and closes one that listens again', async () => {
    const scope = serverScope();
    const servers: Server[] = [];
    for (let n = 0; n < 5; n++) {
      const server = scopeServer(scope, createServer()).listen(0, '127.0.0.1');
      servers.push(server);
      await once(server, 'listening');
      server.close();
    }
    await until(() => doors(scope) === 0);
    const again = servers[0]?.listen(0, '127.0.0.1') as Server;
    await once(again, 'listening');
    expect(doors(scope)).toBe(1);
    await scope.close();
    expect(again.listening).toBe(false);
  });

  it('leaves a server alone that listens again, however soon', async () => {
    const scope = serverScope();
    const server = scopeServer(scope, createServer()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    server.close(() => server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    await sleep(50);
    expect([server.listening, doors(scope)]).toEqual([true, 1]);
  });

  it('leaves the connections of other servers alone', async () => {
    const scope = serverScope();
    const [one, other] = [0, 1].map(() =>
      scopeServer(
        scope,
        createServer((_, response) => void setTimeout(() => response.end(), 50)),
      ),
    ) as [Server, Server];
    const url = await listen(one);
    await listen(other);
    const answered = fetch(url);
    await until(() => scope.tree().children.some(({ name }) => name === 'GET /'));
    other.close();
    expect((await answered).headers.get('connection')).toBe('keep-alive');
  });

  it('cuts a WebSocket off before its scope would give up', async () => {
    const scope = serverScope();
    const server = scopeServer(scope, createServer());
    server.on('upgrade', (_, socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    const url = await listen(server);
    const sent = request(url, { headers: { connection: 'upgrade', upgrade: 'x' } });
    sent.end();
    const [, socket] = await once(sent, 'upgrade');
    const cut = once(
      socket.on('error', () => {}),
      'close',
    );
    await scope.close({ graceMs: 20 });
    await cut;
  });

  it('ends connections that were handed to it, as by another server', async () => {
    const scope = serverScope();
    let end = () => {};
    const server = createServer((_, response) => {
      response.write('begun');
      end = () => response.end();
    });
    scopeServer(scope, server);
    const sockets: Socket[] = [];
    const front = createTcpServer((socket) => {
      sockets.push(socket);
      server.emit('connection', socket);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    const answer = await fetch(`http://127.0.0.1:${(front.address() as AddressInfo).port}`);
    const closed = scope.close();
    await sleep(5);
    end();
    expect(await answer.text()).toBe('begun');
    await closed;
    expect(sockets.map((socket) => socket.destroyed)).toEqual([true]);
    front.close();
  });
});

describe('A request', () => {
  it.each([
    ['a text that no status line can hold', (response: { statusMessage: string }) => (response.statusMessage = '✓')],
    [
      'a head that throws',
      (response: { writeHead: unknown }) =>
        (response.writeHead = () => {
          throw new Error('writeHead');
        }),
    ],
  ])('whose answer fails, with %s, disturbs nobody else', async (_, spoil) => {
    const errors = uncaught('uncaughtException');
    const { scope, url, told } = await start((incoming, response) => {
      if (incoming.url === '/fine') return response.end('fine');
      spoil(response as never);
      throw new Error('handler');
    });
    await fetch(url).catch(() => {});
    await until(() => scope.tree().children.length === 0);
    expect([await (await fetch(`${url}/fine`)).text(), told, errors]).toMatchObject(['fine', [{ message: 'handler' }], []]);
  });

  it('may be handled by a request of its own making', async () => {
    const scope = serverScope();
    const errors = uncaught('uncaughtException');
    const inner = scopeListener(scope, (incoming, response) => void response.end(`inner ${incoming.url}`));
    const { url } = await start((incoming, response) => {
      const made = new IncomingMessage(incoming.socket);
      inner(Object.assign(made, { method: 'GET', url: '/made' }), response);
    });
    expect(await (await fetch(url)).text()).toBe('inner /made');
    await until(() => scope.tree().children.length === 0);
    expect(errors).toEqual([]);
  });

  it('may go on for graceMs once it is answered, whatever its timeoutMs', async () => {
    const aborted: number[] = [];
    const { scope, url, told } = await start(
      async (_, response) => {
        currentScope().signal.addEventListener('abort', () => aborted.push(1));
        response.end();
        await sleep(100);
        expect(aborted).toEqual([]);
      },
      { timeoutMs: 40, graceMs: 5_000 },
    );
    await fetch(url);
    await until(() => scope.tree().children.length === 0);
    expect(told).toEqual([]);
  });

  it('that took too long is answered 503 by frameworks, too', async () => {
    const store = definePool('later', { max: 1, create: () => ({}) });
    const scope = serverScope();
    const app = express();
    app.use(scopeMiddleware(scope, { timeoutMs: 30, onError: () => {} }));
    app.get('/', async (_, response) => {
      await store.use(() => response.end());
    });
    app.use(
      (error: { status: number; headers: Record<string, string>; code: string }, _q: unknown, response: express.Response, _n: unknown) => {
        response.status(error.status).set(error.headers).send(error.code);
      },
    );
    const url = await listen(createServer(app));
    await scope.run(() =>
      store.use(async () => {
        const answer = await fetch(url);
        expect([answer.status, answer.headers.get('retry-after'), await answer.text()]).toEqual([503, '1', 'ERR_SCOPE_CANCELLED']);
      }),
    );
  });

  it('whose client has gone says so to whoever acquires in it', async () => {
    const store = definePool('gone', { create: () => ({}) });
    const scope = serverScope();
    const app = express();
    let said: unknown;
    app.get('/', async () => {
      await sleep(30);
      said = await store.use(() => {}).catch((error: unknown) => error);
    });
    const url = await listen(scopeServer(scope, createServer(app), { onError: () => {} }));
    const sent = request(url).on('error', () => {});
    sent.end();
    await until(() => scope.tree().children.length === 2);
    sent.destroy();
    await until(() => said !== undefined);
    expect(said).toMatchObject({ code: 'ERR_SCOPE_CANCELLED', cause: { code: 'ERR_CLIENT_GONE' } });
  });

  it.each([[5], [''], [Promise.resolve('name')]])('is answered 500 when its function name gives %o, and that is told', async (name) => {
    const { url, told } = await start((_, response) => response.end(), { name: () => name as string });
    expect((await fetch(url)).status).toBe(500);
    expect(told).toMatchObject([{ message: expect.stringMatching(/^scopeListener\(\): what its function name gives must be a text/) }]);
  });

  it('of the fetch style is refused when it is none, and leaves nothing behind', async () => {
    const scope = serverScope();
    const handler = scopeFetch(scope, () => new Response('fine'));
    for (const wrong of [undefined, 'http://localhost/', { url: 'http://localhost/', method: 'GET' }]) {
      await expect(handler(wrong as never)).rejects.toMatchObject({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('must be a Request'),
      });
    }
    expect(await (await handler(Object.freeze(new Request('http://localhost/')))).text()).toBe('fine');
    await until(() => scope.tree().children.length === 0);
  });
});

describe('scopeListener', () => {
  it('is refused for a scope that is cancelled', () => {
    const scope = new Scope({ parent: null });
    scope.cancel();
    expect(() => scopeListener(scope, () => {})).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CANCELLED' }));
  });
});
