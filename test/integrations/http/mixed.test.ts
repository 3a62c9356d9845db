import { type Scope, tryCurrentScope } from 'scoped-pool';
import { readiness } from 'scoped-pool/http';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { describe, expect, it, vi } from 'vitest';
import { uncaught } from '../../support/events.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { APPS, type Way } from './apps.ts';
import { type Came, carryOut, type Plan, plans, randomOf } from './clients.ts';
import { listen, serverScope } from './server.ts';
import { CHUNK, CHUNKS, idOf, requestsOf, type World } from './work.ts';

const redis = useRedis({ fresh: true });
/** All ways come to the same: most are sent in the first. */
const REQUESTS = { listener: 1_000, server: 300, middleware: 300 };
const CLIENTS = 100;
const MAX = 16;
/** Less than a slow request takes: those that are left go on when their lease is revoked. */
const GRACE_MS = 20;
/** What servers are told when clients go away: that something went on for too long, or was held, or used after that. */
const EXPECTED = ['ERR_SCOPE_TIMEOUT', 'ERR_LEASE_LEAKED', 'ERR_LEASE_ENDED', 'ERR_SCOPE_CANCELLED', 'ERR_SCOPE_CLOSED'];

/** Code that was in no scope, in that of another request, or in a second one of its own. */
function watch(): { readonly note: World['note']; readonly wrong: string[]; readonly places: Set<string> } {
  const scopes = new Map<string, Scope>();
  const wrong: string[] = [];
  const places = new Set<string>();
  const note: World['note'] = (place, request) => {
    const id = idOf(request);
    const scope = tryCurrentScope();
    places.add(place);
    if (!scope) wrong.push(`${place} of ${request.url}: no scope`);
    else if (scope.name !== id) wrong.push(`${place} of ${request.url}: scope of ${scope.name}`);
    else if ((scopes.get(id) ?? scope) !== scope) wrong.push(`${place} of ${request.url}: another scope`);
    if (scope) scopes.set(id, scope);
  };
  return { note, wrong, places };
}

/** Looks from the server how many connections there are, while something goes on. */
async function peakOf(pool: string, work: Promise<unknown>): Promise<number> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  work.then(over, over);
  let peak = 0;
  while (!isOver) peak = Math.max(peak, (await redis().clients('sp:')).filter(({ name }) => name?.includes(pool)).length);
  return peak;
}

function expected({ path, id, body }: Plan): string {
  if (path === '/stream') return CHUNK.repeat(CHUNKS);
  if (path === '/raw') return `${body?.length}`;
  return path === '/json' ? `${(JSON.parse(body ?? '') as { text: string }).text.length}` : id;
}

const wrongAnswers = (came: readonly Came[]) =>
  came.filter(({ plan, status, text }) => status !== 200 || text !== expected(plan)).map(({ plan, status, text }) => [plan, status, text]);

async function expectNothingLeft(scope: Scope, store: RedisPool, way: Way): Promise<void> {
  await until(() => requestsOf(scope).length === 0);
  const stats = scope.run(() => store.stats());
  expect(stats).toMatchObject({ max: MAX, inUse: 0, sharers: 0, pending: 0 });
  expect(Object.keys(readiness(scope).pools)).toEqual([store.name]);
  // Those that clients have left in the middle of a transaction: of few requests it may be none.
  if (way === 'listener') expect(stats.leaked).toBeGreaterThan(0);
  expect(stats.closedBy.leaked).toBe(stats.leaked);
  await until(async () => (await redis().clients('sp:')).length === scope.run(() => store.stats().open));
}

describe.each(APPS)('%s, wired by its %s', (name, way, app) => {
  it('loses no scope, meets no stranger and leaves nothing behind when a third of its clients go away', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const seed = Number(process.env.HTTP_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const unhandled = uncaught('unhandledRejection');
    const told: unknown[] = [];
    const scope = serverScope({ onSuppressed: (error) => told.push(error) });
    const store = defineRedisPool(`${name}-${way}`, { url: redis().url, service: 'test', max: MAX, acquireTimeoutMs: 20_000 });
    const { note, wrong, places } = watch();
    const options = { name: idOf, graceMs: GRACE_MS };
    const url = await listen(await app({ store, note }, { way, scope, options }));
    try {
      const work = carryOut(url, plans(REQUESTS[way], randomOf(seed)), CLIENTS);
      const peak = await peakOf(store.name, work);
      expect(wrongAnswers(await work)).toEqual([]);
      expect(peak).toBeGreaterThan(1);
      expect(peak).toBeLessThanOrEqual(MAX);
      await expectNothingLeft(scope, store, way);
      expect(wrong).toEqual([]);
      expect(places).toContain('close');
      expect(told.filter((error) => !EXPECTED.includes((error as { code: string }).code))).toEqual([]);
      expect(unhandled).toEqual([]);
      await scope.close();
      expect(await redis().clients('sp:')).toEqual([]);
    } catch (error) {
      throw new Error(`HTTP_SEED=${seed} plans the same requests`, { cause: error });
    }
  });
});
