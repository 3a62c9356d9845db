import { request as send } from 'node:http';
import { type Scope, tryCurrentScope } from 'scoped-pool';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { APPS, type App, type Way } from './apps.ts';
import { listen, serverScope } from './server.ts';
import { CHUNK, CHUNKS, idOf, requestsOf } from './work.ts';

const redis = useRedis();
let pools = 0;
let ids = 0;

/** Where the code of one request has been, and in which scope. */
interface Visit {
  readonly place: string;
  readonly id: string;
  readonly scope: Scope | undefined;
}

interface Started {
  readonly scope: Scope;
  readonly url: string;
  readonly store: RedisPool;
  readonly visits: Visit[];
  readonly told: unknown[];
}

async function start(app: App, way: Way, poolOptions = {}): Promise<Started> {
  const scope = serverScope();
  const store = defineRedisPool(`app ${++pools}`, { url: redis().url, service: 'test', max: 2, ...poolOptions });
  const visits: Visit[] = [];
  const told: unknown[] = [];
  const note: Parameters<App>[0]['note'] = (place, request) => void visits.push({ place, id: idOf(request), scope: tryCurrentScope() });
  const options = { name: idOf, graceMs: 1_000, onError: (error: unknown) => told.push(error) };
  const server = await app({ store, note }, { way, scope, options });
  return { scope, store, visits, told, url: await listen(server) };
}

const CLIENTS = 4;

/** Sends the same request from several clients at once. @returns the ids that they had. */
async function ask({ url, scope }: Started, path: string, body?: string, type = 'application/json'): Promise<readonly string[]> {
  const mine = Array.from({ length: CLIENTS }, () => `${++ids}`);
  const expected = answerOf(path, body);
  const init = body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': type } };
  await Promise.all(
    mine.map(async (id) => {
      const answer = await fetch(`${url}${path}?id=${id}`, init);
      expect(await answer.text()).toBe(expected ?? id);
    }),
  );
  await until(() => requestsOf(scope).length === 0);
  return mine;
}

function answerOf(path: string, body: string | undefined): string | undefined {
  if (path === '/caught') return 'caught';
  if (path === '/stream') return CHUNK.repeat(CHUNKS);
  if (path === '/json') return `${(JSON.parse(body ?? '') as { text: string }).text.length}`;
  return path === '/raw' ? `${body?.length}` : undefined;
}

/** That each request was at all these places, everywhere in one scope, which is its own. */
function expectOwnScopes({ visits, scope }: Started, mine: readonly string[], places: readonly string[]): void {
  const lost = visits.filter((visit) => visit.scope?.name !== visit.id).map(({ place, scope }) => `${place}: ${scope?.name}`);
  expect(lost).toEqual([]);
  const seen = mine.map((id) => visits.filter((visit) => visit.id === id));
  for (const visits of seen) expect(new Set(visits.map(({ place }) => place))).toEqual(new Set(places));
  const scopes = seen.map((visits) => new Set(visits.map(({ scope }) => scope)));
  for (const own of scopes) expect(own.size).toBe(1);
  const all = scopes.flatMap((own) => [...own]);
  expect(new Set(all).size).toBe(mine.length);
  for (const own of all) {
    expect([own?.parent, own?.state]).toEqual([scope, 'closed']);
    // Done, not cancelled.
    expect(own?.signal.reason).toMatchObject({ name: 'AbortError' });
  }
}

/** What an app passes through for every request, beside what its route does. */
const AROUND: Readonly<Record<string, readonly string[]>> = {
  Express: ['middleware', 'finish', 'close'],
  Fastify: ['middleware', 'preParsing', 'preHandler', 'onSend', 'onResponse', 'finish', 'close'],
  Hono: ['middleware', 'middleware after', 'finish', 'close'],
  Koa: ['middleware', 'middleware after', 'finish', 'close'],
};

describe.each(APPS)('%s, wired by its %s', (name, way, app) => {
  const around = AROUND[name] ?? [];

  beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}));

  it('handles and parses in the scope of the request', async () => {
    const started = await start(app, way);
    const got = await ask(started, '/get');
    expectOwnScopes(started, got, ['handler', ...around]);
    const parsed = await ask(started, '/json', JSON.stringify({ text: 'x'.repeat(300_000) }));
    expectOwnScopes(started, parsed, ['handler', ...around]);
    expect(started.scope.run(() => started.store.stats())).toMatchObject({ inUse: 0, pending: 0, leaked: 0 });
    expect(started.told).toEqual([]);
  });

  it('tells of a raw body in the scope of the request', async () => {
    const started = await start(app, way);
    const mine = await ask(started, '/raw', 'x'.repeat(300_000), 'application/octet-stream');
    expectOwnScopes(started, mine, ['handler', 'data', 'end', ...around]);
  });

  it('makes a streamed body in the scope of the request', async () => {
    const started = await start(app, way);
    const mine = await ask(started, '/stream');
    expectOwnScopes(started, mine, ['generator', 'generator end', ...around]);
  });

  it('ends the generator of a body whose client has gone in the scope of the request', async () => {
    const started = await start(app, way);
    const id = `${++ids}`;
    await new Promise<void>((resolve) => {
      const request = send(`${started.url}/stream?id=${id}`, (response) => {
        response.once('data', () => request.destroy());
        response.on('error', () => {});
        response.on('close', resolve);
      });
      request.on('error', () => {});
      request.end();
    });
    await until(() => requestsOf(started.scope).length === 0);
    const lost = started.visits.filter((visit) => visit.scope?.name !== id).map(({ place, scope }) => `${place}: ${scope?.name}`);
    expect(lost).toEqual([]);
    expect(started.visits.map(({ place }) => place)).toContain('close');
    for (const { scope } of started.visits) expect(scope?.signal.reason).toMatchObject({ code: 'ERR_CLIENT_GONE' });
    expect(started.scope.run(() => started.store.stats())).toMatchObject({ inUse: 0, pending: 0 });
  });

  it('handles errors in the scope of the request', async () => {
    const started = await start(app, way);
    const mine = await ask(started, '/caught');
    expectOwnScopes(started, mine, ['handler', 'error handler', ...around]);
    expect(started.told).toEqual([]);
  });

  it('answers 503 with Retry-After, by its own default, when no connection can be had', async () => {
    const started = await start(app, way, { max: 1 });
    const lease = await started.scope.run(() => started.store.acquire());
    const answer = await fetch(`${started.url}/full?id=${++ids}`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    lease.release();
    expect(started.told).toEqual([]);
    await ask(started, '/get');
  });
});
