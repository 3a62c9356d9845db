import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { offences } from './support/architecture.ts';

const root = join(import.meta.dirname, '../src');

function sources(): ReadonlyMap<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name.endsWith('.ts'));
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [relative(root, path).replaceAll(sep, '/'), readFileSync(path, 'utf8')]));
}

describe('architecture', () => {
  it('is kept by every file', () => {
    expect(sources().size).toBeGreaterThan(10);
    expect(offences(sources())).toEqual([]);
  });
});

/** Each breaks one rule: what is said about it, its file and its text. */
const BAD: readonly (readonly [string, string, string])[] = [
  ['imports pool, which scope may not', 'scope/a.ts', "import { Pool } from '../pool/pool.ts';"],
  ['imports pool, which scope may not', 'scope/a.ts', "import type { Pool } from '../pool/pool.ts';"],
  ['imports pool, which scope may not', 'scope/a.ts', "export { Pool } from '../pool/pool.ts';"],
  ['imports pool, which scope may not', 'scope/a.ts', "export * from '../pool/pool.ts';"],
  ['imports pool, which scope may not', 'scope/a.ts', "export const load = () => import('../pool/pool.ts');"],
  ['imports pool, which scope may not', 'scope/a.ts', "export type P = import('../pool/pool.ts').Pool;"],
  ['imports clock.ts, which errors.ts may not', 'errors.ts', "import { now } from './clock.ts';"],
  ['imports clock.ts, which options.ts may not', 'options.ts', "import { now } from './clock.ts';"],
  ['imports redis, which index.ts may not', 'index.ts', "export * from './redis/index.ts';"],
  ['imports redis, which testing may not', 'testing/index.ts', "import '../redis/index.ts';"],
  ['imports integrations/http, which integrations/bullmq may not', 'integrations/bullmq/a.ts', "import '../http/index.ts';"],
  ['imports scope, which pool may not', 'pool/scheduler.ts', "import { Scope } from '../scope/index.ts';"],
  ['imports monitor, which monitor/web/page may not', 'monitor/web/page/a.ts', "import { factsOf } from '../../history.ts';"],
  ['imports clock.ts, which monitor/web/page may not', 'monitor/web/page/a.ts', "import { after } from '../../../clock.ts';"],
  ['imports node:fs, which does not come into a page', 'monitor/web/page/a.ts', "import { readFileSync } from 'node:fs';"],
  ['belongs to no part of the architecture (utils)', 'utils/a.ts', ''],
  ['imports ioredis, which comes in through redis/ioredis.ts alone', 'redis/a.ts', "import type { Redis } from 'ioredis';"],
  ['imports generic-pool, which comes in through pool/ledger.ts alone', 'pool/pool.ts', "import { createPool } from 'generic-pool';"],
  ['imports node:async_hooks, which comes in through context.ts alone', 'scope/a.ts', "import { AsyncResource } from 'node:async_hooks';"],
  [
    'imports @opentelemetry/api, which comes in through integrations/otel/api.ts alone',
    'integrations/otel/spans.ts',
    "import type { Span } from '@opentelemetry/api';",
  ],
  ['imports bullmq, which comes in nowhere', 'integrations/bullmq/a.ts', "import type { Worker } from 'bullmq';"],
  ['has 251 lines, more than 250', 'scope/a.ts', '\n'.repeat(250).concat('export {};\n')],
  ['says any', 'scope/a.ts', 'export const a = (b: any) => b;'],
  ['has a default export', 'scope/a.ts', 'export default class {}'],
  ['awaits at its top level, which require() cannot load', 'scope/a.ts', 'export const a = await 1;'],
  ['awaits at its top level, which require() cannot load', 'scope/a.ts', 'export const a = [];\nfor await (const b of a) b;'],
  ['writes to the console', 'scope/a.ts', "export const a = () => console.log('a');"],
  ['calls something «borrow»; see the words of CONTRIBUTING.md', 'pool/a.ts', 'export function borrow() {}'],
  ['calls something «Nursery»; see the words of CONTRIBUTING.md', 'scope/a.ts', 'export interface OpenNursery {}'],
  ['calls something «shutdown»; see the words of CONTRIBUTING.md', 'scope/a.ts', 'export class A { shutdown() {} }'],
  ['calls something «shutdown»; see the words of CONTRIBUTING.md', 'scope/a.ts', 'export function shutdown() {}'],
  ['calls something «shutdown»; see the words of CONTRIBUTING.md', 'integrations/bullmq/shutdown.ts', 'export const shutdown = 1;'],
  [
    'calls something «Shutdown»; see the words of CONTRIBUTING.md',
    'integrations/bullmq/shutdown.ts',
    'export interface ShutdownOptions {}',
  ],
  ['uses setTimeout, which belongs to clock.ts', 'pool/a.ts', 'export const a = () => { setTimeout(a, 1); };'],
  ['uses setInterval, which belongs to clock.ts', 'pool/a.ts', 'export const a = () => { globalThis.setInterval(a, 1); };'],
  ['uses performance, which belongs to clock.ts', 'pool/a.ts', 'export const a = () => performance.now();'],
  ['uses Date.now, which belongs to clock.ts', 'pool/a.ts', 'export const a = () => Date.now();'],
  ['has an async function, but must decide in one go', 'pool/scheduler.ts', 'export async function a() {}'],
  ['has an async function, but must decide in one go', 'pool/scheduler.ts', 'export class A { b = { async c() {} } }'],
  ['uses Promise, but must decide in one go', 'pool/scheduler.ts', 'export let a: Promise<void>;'],
];

const GOOD: readonly (readonly [string, string])[] = [
  ['integrations/bullmq/shutdown.ts', 'export async function shutdown() {}'],
  ['redis/ioredis.ts', "import { Redis } from 'ioredis';\nexport const a = Redis;"],
  ['scope/a.ts', '// any console.log await Promise\nexport const a = \'any setTimeout() import("bullmq")\';'],
  ['scope/a.ts', 'export const a = async () => { await 1; };'],
  ['monitor/web/page/a.ts', 'export const a = () => setTimeout(a, performance.now());'],
  ['monitor/web/server.ts', "import { MOST_ROWS } from './page/messages.ts';\nexport const a = MOST_ROWS;"],
  ['clock.ts', 'export const a = () => setTimeout(a, performance.now());'],
  ['errors.ts', '\n'.repeat(500).concat('export {};')],
  ['pool/ledger.ts', "import pool from 'generic-pool';\nexport const a = pool.createPool({ borrow: 1 });"],
];

describe('offences', () => {
  it.each(BAD)('says «%s» of %s', (said, file, text) => {
    expect(offences(new Map([[file, text]]))).toEqual([`${file}: ${said}`]);
  });

  it.each(GOOD)('finds nothing in %s: %s', (file, text) => {
    expect(offences(new Map([[file, text]]))).toEqual([]);
  });

  it('finds circles of files that load each other, but not of types', () => {
    const circle = (how: string) =>
      new Map([
        ['scope/a.ts', "import { b } from './b.ts';\nexport const a = b;"],
        ['scope/b.ts', "export * from './c.ts';"],
        ['scope/c.ts', `import ${how} from './a.ts';\nexport type C = typeof a;`],
      ]);
    expect(offences(circle('{ a }'))).toEqual(['scope/a.ts: import circle scope/a.ts → scope/b.ts → scope/c.ts → scope/a.ts']);
    expect(offences(circle('type { a }'))).toEqual([]);
    expect(offences(circle('{ type a }'))).toEqual([]);
  });
});
