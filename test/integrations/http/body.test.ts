import { currentScope, type Scope, tryCurrentScope } from 'scoped-pool';
import { type RequestOptions, scopeFetch } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { serverScope } from './server.ts';

const redis = useRedis();
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`body ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

const isEmpty = (scope: Scope) => () => scope.tree().children.length === 0;
const bytes = (text: string) => new TextEncoder().encode(text);
const nameHere = () => tryCurrentScope()?.name;

/** A server whose every answer has the body that `source` makes. */
function serve(source: (request: Request) => ReadableStream, options: RequestOptions = {}) {
  const told: unknown[] = [];
  const scope = serverScope();
  const wrapped = scopeFetch(scope, (request) => new Response(source(request)), { onError: (error) => told.push(error), ...options });
  const fetch = (init: RequestInit = {}) => wrapped(new Request('http://test/', init));
  /** Called by a server, which has no scope. */
  const read = async (init?: RequestInit) => (await fetch(init)).body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  return { scope, told, fetch, read };
}

describe('the body of a response', () => {
  it('is made in the scope of its request, chunk by chunk, and ends it', async () => {
    const store = pool();
    const seen: unknown[] = [];
    async function* source() {
      try {
        for (let n = 0; n < 3; n++) {
          seen.push(nameHere());
          yield bytes(`${await store.incr('chunks')}`);
        }
      } finally {
        seen.push(nameHere(), await store.ping());
      }
    }
    const { scope, told, read } = serve(() => ReadableStream.from(source()));
    const reader = await read();
    for (const n of [1, 2, 3]) {
      expect((await reader.read()).value).toEqual(bytes(`${n}`));
      expect(scope.tree().children).toMatchObject([{ name: 'GET /', state: 'open' }]);
    }
    expect(await reader.read()).toEqual({ done: true, value: undefined });
    await until(isEmpty(scope));
    expect(seen).toEqual(['GET /', 'GET /', 'GET /', 'GET /', 'PONG']);
    expect([told, scope.run(() => store.stats().inUse)]).toEqual([[], 0]);
  });

  it('is made in the scope by a source that pulls, and is cancelled in it', async () => {
    const seen: unknown[] = [];
    const reasons: unknown[] = [];
    const { scope, told, read } = serve(
      () =>
        new ReadableStream({
          async pull(controller) {
            seen.push(nameHere());
            await Promise.resolve();
            controller.enqueue(bytes(`${nameHere()}`));
          },
          cancel(reason) {
            seen.push(`cancel ${nameHere()}`);
            reasons.push(reason, currentScope().signal.reason);
          },
        }),
    );
    const reader = await read();
    for (let n = 0; n < 3; n++) expect((await reader.read()).value).toEqual(bytes('GET /'));
    await reader.cancel('enough');
    await until(isEmpty(scope));
    expect(new Set(seen)).toEqual(new Set(['GET /', 'cancel GET /']));
    expect(reasons).toMatchObject([{ code: 'ERR_CLIENT_GONE' }, { code: 'ERR_CLIENT_GONE' }]);
    expect(told).toEqual([]);
  });

  it('reads no chunk before one is asked for', async () => {
    let made = 0;
    async function* source() {
      for (;;) yield bytes(`${++made}`);
    }
    const { read } = serve(() => ReadableStream.from(source()));
    const reader = await read();
    for (let n = 0; n < 5; n++) {
      await new Promise(setImmediate);
      expect(made).toBe(n);
      await reader.read();
    }
    await reader.cancel();
    expect(made).toBe(5);
  });

  it('stays one of bytes, whose reader brings the buffer', async () => {
    const pulls: string[] = [];
    const source = () =>
      new ReadableStream({
        type: 'bytes',
        pull(controller) {
          pulls.push(`${nameHere()}`);
          if (pulls.length > 2) {
            controller.close();
            controller.byobRequest?.respond(0);
          } else controller.enqueue(bytes('abc'));
        },
      });
    const { scope, fetch } = serve(source);
    const reader = (await fetch()).body?.getReader({ mode: 'byob' }) as ReadableStreamBYOBReader;
    const parts: string[] = [];
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(2));
      if (done) break;
      parts.push(new TextDecoder().decode(value));
    }
    expect(parts).toEqual(['ab', 'c', 'ab', 'c']);
    expect(new Set(pulls)).toEqual(new Set(['GET /']));
    await until(isEmpty(scope));
    const all = await (await serve(() => new Response('text').body as ReadableStream).fetch()).text();
    expect(all).toBe('text');
  });

  it('does not take away the buffers of a source that is none of bytes', async () => {
    const chunk = bytes('again');
    let left = 3;
    const { fetch } = serve(
      () => new ReadableStream({ pull: (controller) => (left-- > 0 ? controller.enqueue(chunk.subarray(0, 5)) : controller.close()) }),
    );
    expect(await (await fetch()).text()).toBe('againagainagain');
  });

  it('fails with what its source fails with, of which onError is told, and cancels the request', async () => {
    const boom = new Error('boom');
    let signal: AbortSignal | undefined;
    async function* source() {
      ({ signal } = currentScope());
      yield bytes('half');
      throw boom;
    }
    const { scope, told, read } = serve(() => ReadableStream.from(source()));
    const reader = await read();
    await reader.read();
    await expect(reader.read()).rejects.toBe(boom);
    await until(isEmpty(scope));
    expect([told, signal?.reason]).toEqual([[boom], boom]);
  });

  it('is cancelled when the client goes away, even if nobody reads it', async () => {
    const store = pool({ max: 1 });
    const reasons: unknown[] = [];
    let began = false;
    async function* source() {
      currentScope().signal.addEventListener('abort', () => reasons.push(currentScope().signal.reason));
      yield await store.use(() => bytes('1'));
      await store.use(async () => {
        began = true;
        await new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));
      });
      yield bytes('2');
    }
    const { scope, told, read } = serve(() => ReadableStream.from(source()));
    const client = new AbortController();
    const reader = await read({ signal: client.signal });
    await reader.read();
    const second = reader.read();
    second.catch(() => {});
    await until(() => began);
    client.abort();
    await expect(second).rejects.toMatchObject({ code: 'ERR_CLIENT_GONE' });
    await until(isEmpty(scope));
    expect(reasons).toMatchObject([{ code: 'ERR_CLIENT_GONE' }]);
    expect(scope.run(() => store.stats())).toMatchObject({ open: 1, idle: 1, inUse: 0 });

    const other = new AbortController();
    const cancelled: unknown[] = [];
    const unread = serve(() => new ReadableStream({ cancel: (reason) => void cancelled.push(reason) }));
    await unread.fetch({ signal: other.signal });
    other.abort();
    await until(isEmpty(unread.scope));
    expect(cancelled).toMatchObject([{ code: 'ERR_CLIENT_GONE' }]);
    expect([told, unread.told]).toEqual([[], []]);
  });

  it('is not begun when the client has gone before', async () => {
    const cancelled: unknown[] = [];
    const source = () => new ReadableStream({ cancel: (reason) => void cancelled.push(reason) }, { highWaterMark: 0 });
    const client = new AbortController();
    const { scope, told, fetch } = serve((request) => {
      if (!request.signal.aborted) client.abort();
      return source();
    });
    expect((await fetch({ signal: client.signal })).status).toBe(499);
    await until(isEmpty(scope));
    expect(cancelled).toMatchObject([{ code: 'ERR_CLIENT_GONE' }]);
    // The handler is not even called.
    expect((await fetch({ signal: client.signal })).status).toBe(499);
    expect([cancelled.length, told, isEmpty(scope)()]).toEqual([1, [], true]);
  });

  it('has been served when it has been read, whatever the signal of the request says then', async () => {
    const client = new AbortController();
    const { scope, told, fetch } = serve(() => {
      const task = currentScope().spawn(async ({ signal }) => {
        await until(() => client.signal.aborted);
        await new Promise(setImmediate);
        return signal.aborted;
      });
      tasks.push(task);
      return new Response('all').body as ReadableStream;
    });
    const tasks: PromiseLike<boolean>[] = [];
    expect(await (await fetch({ signal: client.signal })).text()).toBe('all');
    client.abort();
    expect(await tasks[0]).toBe(false);
    await until(isEmpty(scope));
    expect(told).toEqual([]);
  });

  it('is cut off graceMs after timeoutMs, and ends whole when it ends before', async () => {
    const hanging = serve(() => new ReadableStream(), { timeoutMs: 30, graceMs: 30 });
    await expect((await hanging.fetch()).text()).rejects.toMatchObject({ code: 'ERR_REQUEST_TIMEOUT' });
    await until(isEmpty(hanging.scope));
    expect(hanging.told).toMatchObject([{ code: 'ERR_REQUEST_TIMEOUT' }, { code: 'ERR_SCOPE_TIMEOUT' }]);
    async function* obedient() {
      yield bytes('all ');
      await new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));
      yield bytes('of it');
    }
    const { scope, told, fetch } = serve(() => ReadableStream.from(obedient()), { timeoutMs: 30 });
    expect(await (await fetch()).text()).toBe('all of it');
    await until(isEmpty(scope));
    expect(told).toMatchObject([{ code: 'ERR_REQUEST_TIMEOUT' }]);
  });
});
