import { startRedis } from '../dev/redis-server.ts';
import { Scope, withRoot } from '../src/index.ts';
import { Engine } from '../src/pool/engine.ts';
import { Lease } from '../src/pool/lease.ts';
import { rulesOf } from '../src/pool/options.ts';
import { type BenchOptions, type BenchResult, interleave, ratio, type Subject } from './bench.ts';
import { type Contender, effect, floor, LIMIT, nodeRedis, ours, peers } from './peers/pools.ts';
import { type Silence, silence, tooLoud } from './pool/silence.ts';

/** How many want a resource at a time in the contended case. */
const USERS = 100;

/** How many pools the heap is measured over. */
const POOLS = 1_000;

interface Bytes {
  readonly empty: number;
  readonly idle10: number;
}

const instantly = async () => {};

/** What a pool itself costs, on a resource that does nothing: acquire and release, a function, 100 users on 10 resources, heap, events. */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const rounds = quick ? 15 : 25;
  const loops = quick ? 2_000 : 10_000;
  const server = await startRedis({});
  const bytes = await heap();
  try {
    return await withRoot(async () => {
      const contenders = [floor(), ...ours(), ...peers(), await nodeRedis(server.url), await effect()];
      const alone = await interleave(
        contenders.map(({ loop }) => loop),
        { rounds, loops },
      );
      const used = await interleave(contenders.map(using), { rounds, loops });
      const contended = await interleave(contenders.map(contending), { rounds, loops });
      for (const contender of contenders) await contender.close();
      // Last: channels that were listened to once are slower ever after.
      const events = await silence({ rounds, loops: quick ? 4_000 : loops });
      return report(contenders, { alone, used, contended }, bytes, events);
    });
  } finally {
    await server.stop();
  }
}

type Times = Readonly<Record<'alone' | 'used' | 'contended', readonly number[]>>;

function report(contenders: readonly Contender[], times: Times, bytes: Bytes, events: Silence): BenchResult {
  const at = (name: string, kind: keyof Times) => times[kind][contenders.findIndex((contender) => contender.name === name)];
  const bestPeer = (kind: keyof Times) =>
    Math.min(...times[kind].filter((_, place) => !/floor|scoped/.test(contenders[place]?.name ?? '')));
  const rows = contenders.map(({ name, use }, place) => ({
    pool: name,
    acquireNs: Math.round(times.alone[place] ?? 0),
    useNs: use ? Math.round(times.used[place] ?? 0) : '',
    contendedNs: Math.round(times.contended[place] ?? 0),
  }));
  const ratios = {
    exclusive_vs_generic_pool: ratio(at('scoped-pool, exclusive', 'alone'), at('generic-pool', 'alone')),
    try_vs_generic_pool: ratio(at('scoped-pool, tryAcquire', 'alone'), at('generic-pool', 'alone')),
    use_vs_generic_pool: ratio(at('scoped-pool, exclusive', 'used'), at('generic-pool', 'used')),
    all_on_vs_generic_pool: ratio(at('scoped-pool, all options', 'alone'), at('generic-pool', 'alone')),
    exclusive_vs_best_peer: ratio(at('scoped-pool, exclusive', 'alone'), bestPeer('alone')),
    contended_vs_best_peer: ratio(at('scoped-pool, exclusive', 'contended'), bestPeer('contended')),
    contended_vs_generic_pool: ratio(at('scoped-pool, exclusive', 'contended'), at('generic-pool', 'contended')),
    silent_channels: ratio(events.silent, 1),
    silent_same_code: ratio(events.same, 1),
    observed_vs_silent: ratio(events.observed, 1),
  };
  return { rows, figures: { ratios, bytes }, failure: tooLoud(events) };
}

function using({ use }: Contender): Subject {
  return async (loops) => {
    if (use) for (let loop = 0; loop < loops; loop++) await use(instantly);
  };
}

function contending({ hold }: Contender): Subject {
  return (loops) => Promise.all(Array.from({ length: USERS }, () => hold(loops / USERS)));
}

/** Heap per pool in bytes, empty and with ten idle resources, its root scope apart; the second time, when all code is compiled. */
async function heap(): Promise<Bytes> {
  await heapOf(POOLS);
  return heapOf(POOLS);
}

async function heapOf(pools: number): Promise<Bytes> {
  const rules = rulesOf({ max: LIMIT });
  const definition = { settings: { create: () => ({}) } };
  const roots = Array.from({ length: pools }, () => new Scope({ parent: null }));
  const before = used();
  const engines = roots.map((root) => new Engine('bench-heap', root, rules, definition));
  const empty = Math.round((used() - before) / engines.length);
  for (const [place, engine] of engines.entries()) await fill(engine, roots[place] as Scope);
  const idle10 = Math.round((used() - before) / engines.length);
  for (const engine of engines) await engine.close();
  for (const root of roots) await root.close();
  return { empty, idle10 };
}

async function fill(engine: Engine<object>, root: Scope): Promise<void> {
  const leases = Array.from({ length: LIMIT }, () => engine.acquire(new Lease(engine, root, true, 'user', undefined)));
  for (const lease of leases) (await lease).release();
}

function used(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
