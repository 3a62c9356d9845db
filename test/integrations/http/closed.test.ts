import { EventEmitter, once } from 'node:events';
import { Agent, createServer, request as send } from 'node:http';
import { createServer as createHttp2Server, connect as http2, type ServerHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentScope, type Scope } from 'scoped-pool';
import { type Listener, scopeListener } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { whenClosed } from '../../../src/integrations/http/closed.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { warnings } from '../../support/warnings.ts';
import { APPS } from './apps.ts';
import { abandon, listen, serverScope, start } from './server.ts';
import { requestsOf } from './work.ts';

const redis = useRedis();

/** Connects and sends some requests without waiting for answers. */
async function pipeline(url: string, paths: readonly string[]) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`).join(''));
  return socket;
}

const numbers = (length: number) => Array.from({ length }, (_, n) => `/${n}`);

describe('requests in one line (pipelining)', () => {
  it('end with their connection, also those whose turn to be answered has not come', async () => {
    const reasons: unknown[] = [];
    const warned = warnings();
    const { scope, url } = await start(() => {
      const { signal } = currentScope();
      signal.addEventListener('abort', () => reasons.push(signal.reason));
    });
    const socket = await pipeline(url, numbers(15));
    await until(() => requestsOf(scope).length === 15);
    socket.destroy();
    await until(() => requestsOf(scope).length === 0);
    expect(reasons).toMatchObject(reasons.map(() => ({ code: 'ERR_CLIENT_GONE' })));
    expect([reasons.length, warned]).toEqual([15, []]);
  });

  it('end one by one when they are answered', async () => {
    const told: unknown[] = [];
    const { scope, url } = await start(
      async ({ url: path }, response) => {
        const { signal } = currentScope();
        signal.addEventListener('abort', () => told.push(signal.reason));
        await sleep(path === '/0' ? 30 : 1);
        response.end(path);
      },
      { onError: (error) => told.push(error) },
    );
    const socket = await pipeline(url, numbers(15));
    let text = '';
    socket.setEncoding('utf8').on('data', (data: string) => {
      text += data;
    });
    await until(() => text.includes('/14'));
    await until(() => requestsOf(scope).length === 0);
    socket.destroy();
    await once(socket, 'close');
    expect(told.filter((error) => (error as { name: string }).name !== 'AbortError')).toEqual([]);
  });
});

describe('whenClosed', () => {
  it('calls once, of a request in line, whether it is answered or its connection breaks', () => {
    const called: string[] = [];
    const socket = new EventEmitter();
    const inLine = ['answered', 'waiting'].map((name) => {
      const response = Object.assign(new EventEmitter(), { socket: null });
      whenClosed({ socket } as never, response as never, () => called.push(name));
      return response;
    });
    expect(socket.listenerCount('close')).toBe(1);
    inLine[0]?.emit('close');
    expect(called).toEqual(['answered']);
    socket.emit('close');
    inLine[1]?.emit('close');
    expect(called).toEqual(['answered', 'waiting']);
  });
});

describe('a lease of code that nobody awaits', () => {
  it.each(['answered', 'left'])('may be held for a while when the request was %s, and is given back', async (how) => {
    const store = defineRedisPool(`held ${how}`, { url: redis().url, service: 'test', max: 1 });
    let reply: unknown;
    const { scope, url, told } = await start((_, response) => {
      const used = store.use(async (connection) => {
        if (how === 'answered') response.end();
        await once(response, 'close');
        await sleep(50);
        reply = await connection.ping();
      });
      used.catch((error: unknown) => told.push(error));
    });
    if (how === 'answered') await fetch(url);
    else await abandon(url, () => until(() => scope.run(() => store.stats().inUse === 1)));
    await until(() => requestsOf(scope).length === 0);
    expect([reply, told]).toEqual(['PONG', []]);
    expect(scope.run(() => store.stats())).toMatchObject({ inUse: 0, idle: 1, leaked: 0, closed: 0 });
  });
});

describe('a request that comes to its scope late', () => {
  it('is cancelled at once when its client has gone', async () => {
    const scope = serverScope();
    let reason: unknown;
    const scoped = scopeListener(scope, () => {
      reason = currentScope().signal.reason;
    });
    let arrived = false;
    const server = createServer((request, response) => {
      arrived = true;
      response.once('close', () => setImmediate(() => scoped(request, response)));
    });
    const request = send(await listen(server)).on('error', () => {});
    request.end();
    await until(() => arrived);
    request.destroy();
    await until(() => reason !== undefined);
    expect(reason).toMatchObject({ code: 'ERR_CLIENT_GONE' });
    await until(() => requestsOf(scope).length === 0);
  });
});

describe('scopeListener of http2', () => {
  async function startHttp2(scope: Scope, listener: Listener) {
    const server = createHttp2Server(scopeListener(scope, listener) as never);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = http2(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    onTestFinished(() => {
      client.destroy();
      server.close();
    });
    return client;
  }

  it('ends a request when it is answered, and cancels it when its client has gone', async () => {
    const scope = serverScope();
    const reasons: unknown[] = [];
    const client = await startHttp2(scope, ({ url }, response) => {
      const { signal } = currentScope();
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      if (url === '/answered') response.end('fine');
    });
    const answered = client.request({ ':path': '/answered' });
    expect(await answered.setEncoding('utf8').toArray()).toEqual(['fine']);
    await until(() => requestsOf(scope).length === 0);
    expect(reasons).toMatchObject([{ name: 'AbortError' }]);
    const abandoned = client.request({ ':path': '/abandoned' }).on('error', () => {});
    await until(() => requestsOf(scope).length === 1);
    abandoned.close(8);
    await until(() => requestsOf(scope).length === 0);
    expect(reasons[1]).toMatchObject({ code: 'ERR_CLIENT_GONE' });
  });

  it('is answered 503 while the server closes, without a header that http2 forbids', async () => {
    const scope = serverScope();
    const warned = warnings();
    const client = await startHttp2(scope, () => {});
    await scope.close();
    const refused = client.request({ ':path': '/' });
    const [headers] = (await once(refused, 'response')) as [Record<string, unknown>, ServerHttp2Stream];
    expect([headers[':status'], headers['retry-after']]).toEqual([503, '1']);
    refused.close();
    expect(warned).toEqual([]);
  });
});

describe.each(APPS)('%s, wired by its %s', (_name, way, app) => {
  it('does not break the next request of a connection by answering one late that was answered 503', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const scope = serverScope();
    let begin = () => {};
    const thirdBegins = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const answers: Promise<void>[] = [];
    // The answer to the first comes while the third is on its way.
    const get = () => {
      const place = answers.length + 1;
      if (place === 3) begin();
      const answer = thirdBegins.then(() => sleep(place === 3 ? 500 : 10));
      answers.push(answer);
      return answer;
    };
    const store = { set: () => {}, get };
    const options = { timeoutMs: 50, graceMs: 1, onError: () => {} };
    const server = await app({ store: store as never, note: () => {} }, { way, scope, options });
    const url = await listen(server);
    const sockets = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => sockets.destroy());
    const ask = (id: number) =>
      new Promise<number | undefined>((resolve, reject) => {
        const request = send(`${url}/get?id=${id}`, { agent: sockets }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode));
        });
        request.on('error', reject).end();
      });
    for (const id of [1, 2, 3]) expect(await ask(id)).toBe(503);
    // Nothing is thrown to nobody when the last comes late.
    await Promise.all(answers);
    await sleep(50);
  });
});
