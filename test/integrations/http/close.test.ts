import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createSecureServer, request as secureRequest } from 'node:https';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentScope, type Scope } from 'scoped-pool';
import { readiness, scopeServer } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { CERTIFICATE, KEY } from '../../support/certificate.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { listen, serverScope } from './server.ts';

const redis = useRedis({ fresh: true });
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`closing ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

const inFlight = (scope: Scope) => scope.tree().children.filter(({ name }) => name !== 'http server').length;

describe('scopeServer', () => {
  it('lets requests that run finish, takes no more, then closes the pools', async () => {
    const store = pool();
    const scope = serverScope();
    const server = createServer(async (_, response) => {
      await store.incr('n');
      await sleep(100);
      response.end(`${await store.incr('n')}`);
    });
    expect(scopeServer(scope, server)).toBe(server);
    const url = await listen(server);
    const idle = connect(Number(new URL(url).port), '127.0.0.1');
    await once(idle, 'connect');
    const answer = new Promise<string>((resolve, reject) => {
      const sent = request(url, async (response) => {
        resolve((await response.setEncoding('utf8').toArray()).join(''));
      });
      sent.on('error', reject).end();
    });
    await until(() => inFlight(scope) === 1);
    expect(readiness(scope)).toMatchObject({ ready: true, status: 200 });
    const closing = scope.close({ graceMs: 5_000 });
    expect(readiness(scope)).toMatchObject({ ready: false, status: 503 });
    await until(() => !server.listening);
    await expect(fetch(url)).rejects.toThrow();
    expect(await answer).toBe('2');
    await closing;
    expect(scope.state).toBe('closed');
    expect(await redis().clients('sp:')).toEqual([]);
    await until(() => idle.destroyed || idle.readableEnded);
  });

  it('cancels requests that do not end in time, and cuts off the last', async () => {
    const scope = serverScope();
    const reasons: unknown[] = [];
    const server = scopeServer(
      scope,
      createServer((_, response) => {
        response.write('begun');
        currentScope().signal.addEventListener('abort', () => reasons.push(currentScope().signal.reason));
      }),
      { graceMs: 50, onError: () => {} },
    );
    const url = await listen(server);
    const answer = fetch(url).then((response) => response.text());
    answer.catch(() => {});
    await until(() => inFlight(scope) === 1);
    await scope.close({ graceMs: 50, cancelMs: 200 }).catch(() => {});
    await expect(answer).rejects.toThrow();
    expect(reasons.length).toBe(1);
    await until(() => !server.listening);
  });

  it('lets a request over TLS finish, and closes what never spoke', async () => {
    const scope = serverScope();
    const server = createSecureServer({ key: KEY, cert: CERTIFICATE }, async (_, response) => {
      await sleep(200);
      response.end('fine');
    });
    const { port } = new URL(await listen(scopeServer(scope, server)));
    const silent = connect(Number(port), '127.0.0.1').on('error', () => {});
    await once(silent, 'connect');
    const answer = new Promise<string>((resolve, reject) => {
      const sent = secureRequest(`https://127.0.0.1:${port}`, { ca: CERTIFICATE }, async (response) => {
        resolve((await response.setEncoding('utf8').toArray()).join(''));
      });
      sent.on('error', reject).end();
    });
    await until(() => inFlight(scope) === 1);
    const closed = once(silent, 'close');
    const closing = scope.close({ graceMs: 500 }).catch((error: unknown) => error);
    expect(await answer).toBe('fine');
    await Promise.all([closing, closed]);
  });

  it('cuts off a connection that speaks no HTTP any more', async () => {
    const scope = serverScope();
    const server = scopeServer(scope, createServer());
    server.on('upgrade', (_, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    const { port } = new URL(await listen(server));
    const client = connect(Number(port), '127.0.0.1').on('error', () => {});
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(client, 'data');
    const closing = scope.close({ graceMs: 100 }).catch(() => {});
    await until(() => !server.listening);
    await sleep(20);
    // It has its time, as a request has.
    expect(client.closed).toBe(false);
    const closed = once(client, 'close');
    await closing;
    await closed;
  });

  it('knows what its listener promises', async () => {
    const scope = serverScope();
    const told: unknown[] = [];
    const onError = (error: unknown) => told.push(error);
    const boom = new Error('boom');
    const listener = async () => {
      await sleep(1);
      throw boom;
    };
    const url = await listen(scopeServer(scope, createServer(listener), { onError }));
    expect((await fetch(url)).status).toBe(500);
    await until(() => inFlight(scope) === 0);
    expect(told).toEqual([boom]);
  });

  it('refuses what is no server', () => {
    const expected = 'its second argument must be a server of node:http or node:https; for http2 wrap the listener by scopeListener()';
    expect(() => scopeServer(serverScope(), {} as never)).toThrow(expected);
    expect(() => scopeServer(serverScope(), createHttp2Server() as never)).toThrow(expected);
  });
});
