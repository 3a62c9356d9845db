import { isDeepStrictEqual } from 'node:util';
import { shared } from '../context.ts';
import { PoolRedefinedError } from '../errors.ts';
import type * as api from './api.ts';
import { checkPool, type PoolOptions } from './options.ts';
import { Pool } from './pool.ts';

/**
 * Defines a pool by name, once per process; opens nothing.
 *
 * Defining it again with equal options gives the same pool, and the newest functions serve new connections, as a hot
 * reload wants it. With other options the newest definition wins: the old pool drains, and one warning names both
 * places; with `unique` that is an error.
 *
 * @throws InvalidOptionError, PoolRedefinedError.
 */
export function definePool<T>(name: string, options: PoolOptions<T>): api.Pool<T> {
  checkPool(name, options);
  return register(new Pool<T>(name, { ...options, plain: { kind: 'pool', ...withoutFunctions(options) } }));
}

/** What the registry asks of a definition, of whichever copy of the library. */
interface Definition {
  readonly name: string;
  readonly site: string;
  readonly plain: object | undefined;
  readonly unique: boolean;
  adopt(newer: Definition): void;
  yieldTo(successor: Definition): void;
}

/** Enters a definition, or gives the one that stands. For kinds of pools built on {@link Pool}. */
export function register<P extends Definition>(pool: P): P {
  const existing = shared.pools.get(pool.name) as P | undefined;
  if (existing && isDeepStrictEqual(existing.plain, pool.plain)) {
    existing.adopt(pool);
    return existing;
  }
  if (existing) replace(existing, pool);
  shared.pools.set(pool.name, pool);
  return pool;
}

function replace(existing: Definition, pool: Definition): void {
  const { name, site } = pool;
  // A pool of another kind could not stand in for the one that code elsewhere holds.
  const isOtherKind = kindOf(existing) !== kindOf(pool);
  if (isOtherKind || existing.unique || pool.unique) throw new PoolRedefinedError(name, `at ${existing.site}`, `at ${site}`);
  process.emitWarning(
    `pool "${name}" is defined at ${existing.site} and, with other options, at ${site}: the newest definition wins, the old pool drains`,
    { type: 'ScopedPoolWarning', code: 'SCOPED_POOL_REDEFINED' },
  );
  existing.yieldTo(pool);
}

function kindOf({ plain }: Definition): unknown {
  return (plain as { readonly kind?: unknown } | undefined)?.kind;
}

/** A copy of plain data without what is not compared: functions, at whatever depth, and what is left open. */
export function withoutFunctions(value: object): object {
  const plain: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === 'function' || item === undefined) continue;
    const isRecord = typeof item === 'object' && item !== null && Object.getPrototypeOf(item) === Object.prototype;
    plain[key] = isRecord ? withoutFunctions(item) : item;
  }
  return plain;
}
