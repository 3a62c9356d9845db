import { setTimeout as sleep } from 'node:timers/promises';
import { Hono } from 'hono';
import { currentScope, type Scope, tryCurrentScope } from 'scoped-pool';
import { scopeFetch } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { serverScope } from './server.ts';

const redis = useRedis();
let pools = 0;

function pool(options = {}): RedisPool {
  return defineRedisPool(`fetch ${++pools}`, { url: redis().url, service: 'test', max: 2, ...options });
}

const ask = (path = '/', init: RequestInit = {}) => new Request(`http://test${path}`, init);

/** Everything below a server's scope is gone but its pools. */
const isEmpty = (scope: Scope) => () => scope.tree().children.length === 0;

/** A server's scope, and what `onError` was told. */
function server() {
  const told: unknown[] = [];
  return { scope: serverScope(), told, onError: (error: unknown) => void told.push(error) };
}

const later = (response: Response) => [response.status, response.headers.get('retry-after')];

describe('scopeFetch', () => {
  it('lets what is left go on for graceMs once it is answered, whatever its timeoutMs', async () => {
    const { scope, told, onError } = server();
    let isDone = false;
    const task = async () => {
      await sleep(100);
      isDone = !currentScope().signal.aborted;
    };
    const handler = () => {
      currentScope().spawn(task);
      return new Response('answered');
    };
    expect(await (await scopeFetch(scope, handler, { timeoutMs: 40, onError })(ask('/'))).text()).toBe('answered');
    await until(isEmpty(scope));
    expect([isDone, told]).toEqual([true, []]);
  });

  it('gives each request a scope of its own, over the pools of the server', async () => {
    const store = pool();
    const { scope, told, onError } = server();
    const app = new Hono();
    app.use(async (c, next) => {
      await next();
      c.header('x-scope', currentScope().name);
    });
    app.get('*', async (c) => {
      expect(currentScope().parent).toBe(scope);
      await store.incr('visits');
      return c.text(currentScope().name);
    });
    const fetch = scopeFetch(scope, app.fetch, { onError });
    const answers = await Promise.all(['/a', '/b?token=secret'].map((path) => fetch(ask(path))));
    expect(answers.map(({ headers }) => headers.get('x-scope'))).toEqual(['GET /a', 'GET /b']);
    expect(scope.tree().children).toHaveLength(2);
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(['GET /a', 'GET /b']);
    await until(isEmpty(scope));
    expect(scope.run(() => store.stats())).toMatchObject({ inUse: 0, pending: 0, created: 1 });
    expect(told).toEqual([]);
  });

  it('keeps this and all parameters of the handler, and their types', async () => {
    const { scope } = server();
    const app = new Hono<{ Bindings: { readonly key: string } }>();
    const wrapped = scopeFetch(scope, app.fetch);
    expectTypeOf(wrapped).parameters.toEqualTypeOf<Parameters<typeof app.fetch>>();
    expectTypeOf(wrapped).returns.toEqualTypeOf<Promise<Response>>();
    const next = scopeFetch(scope, async (request: Request & { nextUrl: URL }, { params }: { params: Promise<{ id: string }> }) =>
      Response.json([request.nextUrl, await params]),
    );
    expectTypeOf(next).parameter(0).toExtend<Request & { nextUrl: URL }>();
    expectTypeOf(next).parameter(1).toEqualTypeOf<{ params: Promise<{ id: string }> }>();
    const none = scopeFetch(scope, () => new Response('x'));
    expectTypeOf(none).toExtend<(request: Request, context: { params: Promise<object> }) => Promise<Response>>();
    expectTypeOf(none).toBeCallableWith(ask());
    const bun = scopeFetch(scope, function (this: { port: number }, _: Request, ...rest: [a: number, b?: string]) {
      return rest[0] ? Response.json([this.port, ...rest]) : undefined;
    });
    expectTypeOf(bun).returns.toEqualTypeOf<Promise<Response | undefined>>();
    // @ts-expect-error: a handler returns a response
    scopeFetch(scope, () => 'text');
    expect(await (await bun.call({ port: 80 }, ask(), 1, 'b'))?.json()).toEqual([80, 1, 'b']);
    expect(await bun.call({ port: 80 }, ask(), 0)).toBeUndefined();
    await until(isEmpty(scope));
  });

  it('returns a response without a body as it is, and has ended its scope', async () => {
    const { scope } = server();
    const used = new Response('used');
    await used.text();
    const all = [204, 205, 304].map((status) => new Response(null, { status }));
    for (const response of [...all, Response.redirect('http://test/', 302), Response.error(), used]) {
      expect(await scopeFetch(scope, () => response)(ask())).toBe(response);
      await until(isEmpty(scope));
    }
  });

  it('keeps status, text and headers of a response with a body, of several cookies, too', async () => {
    const { scope } = server();
    const made = new Response('made', { status: 201, statusText: 'Made', headers: { 'content-type': 'text/x', 'x-a': 'b' } });
    for (const cookie of ['a=1', 'b=2; Path=/']) made.headers.append('set-cookie', cookie);
    const response = await scopeFetch(scope, () => made)(ask());
    expect(response).not.toBe(made);
    expect([response.status, response.statusText, [...response.headers]]).toEqual([201, 'Made', [...made.headers]]);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2; Path=/']);
    expect(await response.text()).toBe('made');
  });

  it('answers HEAD without the body, which it cancels', async () => {
    const { scope } = server();
    const cancelled: unknown[] = [];
    const source = () => new ReadableStream({ cancel: () => void cancelled.push(tryCurrentScope()?.name) });
    const response = await scopeFetch(scope, () => new Response(source(), { headers: { 'x-a': 'b' } }))(ask('/', { method: 'HEAD' }));
    expect([response.body, response.headers.get('x-a')]).toEqual([null, 'b']);
    await until(isEmpty(scope));
    expect(cancelled).toEqual(['HEAD /']);
  });

  it('throws what the handler throws, as it is, when the scope has ended', async () => {
    const store = pool();
    const { scope, told, onError } = server();
    const boom = new Error('boom');
    const fetch = scopeFetch(
      scope,
      async ({ url }: Request): Promise<Response> => {
        await currentScope().lease(store);
        if (url.endsWith('/name')) throw 'a string';
        await store.ping();
        throw boom;
      },
      { onError },
    );
    const thrown = await fetch(ask()).catch((error: unknown) => [error, isEmpty(scope)(), scope.run(() => store.stats().inUse)]);
    expect(thrown).toEqual([boom, true, 0]);
    expect(thrown).toHaveProperty('0', boom);
    await expect(fetch(ask('/name'))).rejects.toBe('a string');
    const now = () => {
      throw boom;
    };
    await expect(scopeFetch(scope, now, { onError })(ask())).rejects.toBe(boom);
    await expect(scopeFetch(scope, () => new Response(), { name: now, onError })(ask())).rejects.toBe(boom);
    expect([told, isEmpty(scope)()]).toEqual([[], true]);
  });

  it('answers 503 with Retry-After when no connection can be had and while the server closes', async () => {
    const store = pool({ max: 1 });
    const { scope, told, onError } = server();
    const handler = async ({ url }: Request) => {
      if (url.endsWith('/hang')) {
        await new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));
        currentScope().signal.throwIfAborted();
      }
      return store.use(() => new Response('had'), { acquireTimeoutMs: 20 });
    };
    const fetch = scopeFetch(scope, handler, { onError });
    const lease = await scope.run(() => store.acquire());
    const full = await fetch(ask());
    lease.release();
    expect(later(full)).toEqual([503, '1']);
    expect(told).toMatchObject([{ code: 'ERR_POOL_ACQUIRE_TIMEOUT' }]);
    expect(await (await fetch(ask())).text()).toBe('had');
    const hanging = fetch(ask('/hang'));
    await until(() => scope.tree().children.length === 1);
    const closing = scope.close({ graceMs: 50 });
    expect(later(await fetch(ask()))).toEqual([503, '1']);
    expect(later(await hanging)).toEqual([503, '1']);
    await closing;
    expect(later(await fetch(ask()))).toEqual([503, '1']);
    expect(told).toHaveLength(1);
  });

  it('answers 503 when it takes longer than timeoutMs, unless it answers within graceMs', async () => {
    const { scope, told, onError } = server();
    const seen: string[] = [];
    const aborted = () =>
      new Promise<void>((resolve) => {
        currentScope().signal.addEventListener('abort', () => {
          seen.push(currentScope().name);
          resolve();
        });
      });
    const options = { timeoutMs: 30, graceMs: 30, onError };
    const never = scopeFetch(scope, () => new Promise<Response>(() => {}), options);
    expect(later(await never(ask()))).toEqual([503, '1']);
    expect(told).toMatchObject([{ code: 'ERR_REQUEST_TIMEOUT' }, { code: 'ERR_SCOPE_TIMEOUT' }]);
    const obedient = scopeFetch(scope, () => aborted().then(() => currentScope().signal.throwIfAborted() as never), options);
    expect(later(await obedient(ask()))).toEqual([503, '1']);
    const inTime = scopeFetch(scope, () => aborted().then(() => new Response('partial')), options);
    expect(await (await inTime(ask())).text()).toBe('partial');
    const wrong = scopeFetch(scope, () => aborted().then(() => Promise.reject(new TypeError('wrong'))), options);
    await expect(wrong(ask())).rejects.toThrow('wrong');
    await until(isEmpty(scope));
    expect(seen).toEqual(Array(3).fill('GET /'));
    expect(told.slice(2).map((error) => (error as { code?: string }).code)).toEqual(Array(3).fill('ERR_REQUEST_TIMEOUT'));
  });

  it('fails with what a task of the request fails with, if the handler does not answer', async () => {
    const { scope, told, onError } = server();
    const boom = new Error('boom');
    const fetch = scopeFetch(
      scope,
      async () => {
        currentScope().spawn(() => Promise.reject(boom));
        await new Promise((_, reject) => currentScope().signal.addEventListener('abort', () => reject(currentScope().signal.reason)));
        return new Response();
      },
      { onError },
    );
    await expect(fetch(ask())).rejects.toBe(boom);
    await until(isEmpty(scope));
    expect(told).toEqual([boom]);
  });

  it('needs no second scope when it is wrapped twice, but one for each time that a request is handled', async () => {
    const { scope } = server();
    const seen: (string | undefined)[] = [];
    const inner = scopeFetch(scope, () => {
      seen.push(
        scope
          .tree()
          .children.map(({ name }) => name)
          .join(),
      );
      return new Response('x');
    });
    const request = ask();
    const fetch = scopeFetch(scope, inner);
    for (let n = 0; n < 2; n++) {
      await (await fetch(request)).text();
      await until(isEmpty(scope));
    }
    const other = await scopeFetch(scope, async () => inner(ask('/other')))(request);
    await other.text();
    await until(isEmpty(scope));
    expect(seen).toEqual(['GET /', 'GET /', 'GET /,GET /other']);
  });

  it('refuses at once what is no scope, a closed one, and wrong options', async () => {
    const { scope } = server();
    const handler = () => new Response();
    expect(() => scopeFetch({} as Scope, handler)).toThrow('scopeFetch(): its first argument must be a Scope; got an object');
    expect(() => scopeFetch(scope, 'x' as never)).toThrow('its handler must be a function; got "x"');
    expect(() => scopeFetch(scope, handler, { graceMs: -1 })).toThrow('graceMs must be milliseconds');
    await scope.close();
    expect(() => scopeFetch(scope, handler)).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
  });
});
