import { definePool, resume, Scope, ScopedPoolError, supervise, withRoot } from 'scoped-pool';
import { handleSignals, scopeWorker, shutdown, type WorkerLike } from 'scoped-pool/bullmq';
import { scopeListener } from 'scoped-pool/http';
import { serveInspection } from 'scoped-pool/inspect';
import { type ObserveOptions, observe } from 'scoped-pool/otel';
import { createSubscriber, publishFrom, subscribeTo } from 'scoped-pool/pubsub';
import { consumerGroup, defineRedisPool, redisStream } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { type PoolRules, rulesOf } from '../../src/pool/options.ts';
import { GUIDES, read, tablesOf } from './markdown.ts';

/** A row of a table of options, or what the code says of the option. */
interface Option {
  readonly name: string;
  readonly type: string;
  readonly default: string;
}

/** By the head of its table: where the options are declared, and something that refuses those it does not know. */
const TABLES: Readonly<Record<string, { readonly declared: readonly (readonly [string, string])[]; refuse(options: object): unknown }>> = {
  'option of scopeWorker, scoped, withScopes': {
    declared: [['src/integrations/bullmq/options.ts', 'BullScopeOptions']],
    refuse: (options) => scopeWorker({} as WorkerLike, options),
  },
  'option of scopeServer, scopeListener, scopeFetch and the middleware': {
    declared: [['src/integrations/http/options.ts', 'RequestOptions']],
    refuse: (options) => scopeListener(new Scope({ parent: null }), () => {}, options),
  },
  'option of shutdown': {
    declared: [['src/integrations/bullmq/shutdown.ts', 'ClosingOptions']],
    refuse: (options) => shutdown([], options),
  },
  'option of handleSignals': {
    declared: [['src/integrations/bullmq/signals.ts', 'SignalOptions']],
    refuse: (options) => handleSignals([], options),
  },
  'option of defineRedisPool': {
    declared: ['ConnectionOptions', 'RedisPoolOptions'].map((name) => ['src/redis/options.ts', name] as const),
    refuse: (options) => defineRedisPool('refused', options),
  },
  'option of serveInspection': {
    declared: [['src/inspect/server.ts', 'InspectionOptions']],
    refuse: (options) => serveInspection(options),
  },
  'option of createSubscriber': {
    declared: [
      ['src/redis/options.ts', 'ConnectionOptions'],
      ['src/pubsub/options.ts', 'SubscriberOptions'],
    ],
    refuse: (options) => createSubscriber('refused', options),
  },
  'option of publishFrom': {
    declared: [['src/pubsub/publisher/publishing.ts', 'PublisherOptions']],
    refuse: (options) => publishFrom([], defineRedisPool('publishing'), 'refused', options),
  },
  'option of subscribeTo, beside those of createSubscriber': {
    declared: [['src/pubsub/options.ts', 'TopicOptions']],
    refuse: (options) => subscribeTo('refused', options),
  },
  'option of resume': {
    declared: [
      ['src/source/policy.ts', 'RestartLimits'],
      ['src/source/resume.ts', 'ResumePolicy'],
    ],
    refuse: (options) => resume(async function* () {}, 0, options),
  },
  'option of supervise': {
    declared: [
      ['src/source/policy.ts', 'RestartLimits'],
      ['src/scope/task.ts', 'SpawnOptions'],
      ['src/source/supervise.ts', 'SuperviseOptions'],
    ],
    refuse: (options) => supervise(() => {}, options),
  },
  'option of redisStream': {
    declared: [['src/redis/stream/options.ts', 'RedisStreamOptions']],
    refuse: (options) => redisStream(defineRedisPool('refusing-streams'), 'key', options),
  },
  'option of consumerGroup': {
    declared: [['src/redis/stream/options.ts', 'ConsumerGroupOptions']],
    refuse: (options) => consumerGroup(defineRedisPool('refusing-streams'), 'key', { group: 'a', consumer: 'b', ...options }),
  },
  'option of observe': {
    declared: [['src/integrations/otel/observe.ts', 'ObserveOptions']],
    refuse: (options) => observe(options as ObserveOptions),
  },
  'option of retry': {
    declared: [['src/redis/retry.ts', 'RetryOptions']],
    refuse: (options) => defineRedisPool('refused', { retry: options }),
  },
  'option of definePool': {
    declared: ['PoolFunctions', 'PoolRules', 'PoolOptions'].map((name) => ['src/pool/options.ts', name] as const),
    refuse: (options) => definePool('refused', { create: () => 1, ...options }),
  },
  'option of acquire, acquireShared, use, share': {
    declared: [['src/pool/options.ts', 'AcquireOptions']],
    refuse: (options) => definePool('refusing', { create: () => 1 }).acquire(options),
  },
  'option of withScope, withRoot, new Scope': {
    declared: [['src/scope/options.ts', 'ScopeOptions']],
    refuse: (options) => new Scope({ parent: null, ...options }),
  },
};

const tables = GUIDES.flatMap((page) => tablesOf(read(page))).filter(({ head }) => head[0]?.startsWith('option of '));

/** The members of an interface, with the default that the comment of each names. */
function declaredIn(file: string, name: string): readonly Option[] {
  const body = new RegExp(`export interface ${name}\\b[^{]*{\\n(.*?)^}`, 'ms').exec(read(file))?.[1] ?? '';
  const members = body
    .replaceAll(/\n {3}(?=\*\/)/g, ' ')
    .replaceAll(/\n {3}\* ?/g, ' ')
    .replaceAll(/\/\*\* +/g, '/** ');
  return [...members.matchAll(/\/\*\* (.*?) ?\*\/\n {2}(?:readonly )?(\w+)(\??)(.*);$/gm)].map(
    ([, comment = '', option = '', , rest = '']) => ({
      name: option,
      type: typeOf(rest),
      default: (/\bDefault:? (.*?)\.(?: |$)/.exec(`${comment} `)?.[1] ?? '–').replaceAll('`', ''),
    }),
  );
}

function typeOf(text: string): string {
  const type = text.replace(/^: /, '').replace(/ \| undefined$/, '');
  if (type.startsWith('readonly number[] | (')) return 'number[] or function';
  if (type.startsWith('Limits | (')) return 'Limits or function';
  if (text.startsWith('(') || type.includes('=>')) return 'function';
  return type === 'Lifetime | null' ? 'Scope' : type;
}

/** What a Redis pool says of those that it hands on. */
const REST = / and every option of ioredis.*/;

/** The names that the code says it knows when it is given one that it does not. */
async function knownTo(refuse: (options: object) => unknown): Promise<readonly string[]> {
  try {
    await withRoot(() => refuse({ unheardOf: 1 }));
  } catch (error) {
    const names = error instanceof ScopedPoolError ? /known are (.*); got/.exec(error.message)?.[1] : undefined;
    if (names !== undefined) return names.replace(REST, '').split(', ');
    throw error;
  }
  return [];
}

describe('the options in README.md and the guides', () => {
  it('are those of every function that has some', () => {
    expect(tables.map(({ head }) => head[0]).sort()).toEqual(Object.keys(TABLES).sort());
    for (const { head } of tables) expect(head.slice(1)).toEqual(['type', 'default', 'meaning']);
  });

  describe.each(tables.map(({ head, rows }) => [head[0] ?? '', rows] as const))('%s', (name, rows) => {
    const { declared, refuse } = TABLES[name] ?? { declared: [], refuse: () => {} };
    const documented = rows.map(([option = '', type = '', byDefault = '']): Option => ({ name: option, type, default: byDefault }));

    it('are the declared ones, with their types and defaults', () => {
      const options = declared.flatMap(([file, interfaceName]) => declaredIn(file, interfaceName));
      expect([...documented].sort(byName)).toEqual([...options].sort(byName));
    });

    it('are known to the code', async () => {
      const names = documented.map((option) => option.name);
      const known = await knownTo(refuse);
      // A Redis pool takes the options of ioredis, too, and those of a pool.
      const extra = /Redis|, beside/.test(name) ? known.filter((option) => !names.includes(option)) : [];
      expect([...names, ...extra].sort()).toEqual([...known].sort());
    });

    it('each have a meaning', () => {
      expect(rows.filter((row) => !row[3])).toEqual([]);
    });
  });

  it('have the defaults that a pool has', () => {
    const rows = tables.find(({ head }) => head[0] === 'option of definePool')?.rows ?? [];
    const rules = rulesOf({});
    const documented = rows
      .filter(([option = '']) => option in rules)
      .map(([option, , value = '']) => [option, Number(value.split(';')[0]?.replaceAll(',', ''))]);
    expect(Object.fromEntries(documented)).toEqual(rules);
  });

  it('of a Redis pool are those of a pool and its own', async () => {
    const known = await knownTo((options) => defineRedisPool('refused', options));
    const rules = Object.keys(rulesOf({})).filter((rule) => !NAMING_A_FUNCTION.has(rule as keyof PoolRules));
    expect(known).toEqual(expect.arrayContaining([...rules, 'url', 'service', 'connectTimeoutMs', 'commandTimeoutMs', 'unique']));
    expect(known.filter((option) => NAMING_A_FUNCTION.has(option as keyof PoolRules))).toEqual([]);
  });
});

/** Options of a pool that a Redis pool has others for, or none. */
const NAMING_A_FUNCTION = new Set<keyof PoolRules>(['createTimeoutMs', 'validateTimeoutMs', 'destroyTimeoutMs']);

function byName(a: Option, b: Option): number {
  return a.name.localeCompare(b.name);
}
