import { shared } from '../context.ts';
import { FakeIncompleteError, NoScopeError, PoolInUseError } from '../errors.ts';
import { type Check, checkArgument } from '../options.ts';
import type { Pool } from '../pool/index.ts';
import type { PoolSettings } from '../pool/options.ts';
import type * as definition from '../pool/pool.ts';
import { tryCurrentScope } from '../scope/index.ts';

/** As much of a resource as a test needs; its functions may take and return what they like. */
export type Fake<T> = { readonly [K in keyof T]?: T[K] extends (...args: never[]) => unknown ? (...args: never[]) => unknown : T[K] };

const isObject: Check = (value) => (typeof value === 'object' && value !== null ? undefined : 'an object');

/**
 * Lends `fake` wherever the current root scope uses the pool: to `use`, `share`, `acquire` and, of a Redis pool, to
 * plain commands. Nothing is opened and nothing is closed; the limits of the pool hold. Other roots are not affected.
 *
 * @throws NoScopeError, InvalidOptionError, PoolInUseError when the root has used or replaced the pool already. A plain
 * command that the fake does not have is rejected with FakeIncompleteError.
 */
export function replacePool<T>(pool: Pool<T>, fake: Fake<T>): void {
  checkArgument('replacePool()', 'the fake', fake, isObject);
  const root = tryCurrentScope()?.root;
  if (!root) throw new NoScopeError('replacePool()');
  // Another definition may have taken the name.
  const current = (shared.pools.get(pool.name) ?? pool) as definition.Pool<T>;
  if (root.single(current)) throw new PoolInUseError(pool.name, root.name);
  current.replaceIn(root, settingsOf<T>(pool.name, fake));
}

function settingsOf<T>(pool: string, fake: Fake<T>): PoolSettings<T> {
  const answering = strict(pool, fake);
  return {
    create: () => fake as T,
    // Not ours: whoever made it ends it.
    destroy: () => {},
    guard: (_, lease) => (lease.kind === 'user' ? fake : answering) as T,
  };
}

/** The fake, as plain commands see it: without this, one that it does not have would be answered with `undefined`. */
function strict<F extends object>(pool: string, fake: F): F {
  return new Proxy(fake, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value === 'function') return value.bind(target);
      if (value !== undefined || typeof name === 'symbol') return value;
      return () => {
        throw new FakeIncompleteError(pool, name);
      };
    },
  });
}
