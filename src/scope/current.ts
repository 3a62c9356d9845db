import { currentFrame } from '../context.ts';
import { NoScopeError } from '../errors.ts';
import { checkCopy } from './copy.ts';
import { checkFunction, checkScope, type ScopeOptions } from './options.ts';
import { Scope } from './scope.ts';

/** The scope this code runs in, `undefined` outside every scope. */
export function tryCurrentScope(): Scope | undefined {
  checkCopy();
  return currentFrame()?.scope as Scope | undefined;
}

/** The scope this code runs in. @throws NoScopeError outside every scope. */
export function currentScope(): Scope {
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError('currentScope()');
  return scope;
}

/**
 * Runs `fn` in a new child of the current scope, waits for what was started in it, closes it.
 *
 * @returns what `fn` returned.
 * @throws the first failure of the body, a task or a child, unwrapped. NoScopeError outside every scope: a pool of its
 * own for every careless call is the disease this library cures; say `withRoot` where a root is meant.
 */
export async function withScope<R>(fn: (scope: Scope) => R | PromiseLike<R>, options: ScopeOptions = {}): Promise<R> {
  checkFunction('withScope()', fn);
  if (options.parent === undefined && !tryCurrentScope()) throw new NoScopeError('withScope()');
  return new Scope(options, 'lexical').complete(fn);
}

/** As {@link withScope}, in a new root: with pools of its own, closed at the end. For `main`, a script, a test. */
export async function withRoot<R>(
  fn: (scope: Scope) => R | PromiseLike<R>,
  options: Omit<ScopeOptions, 'parent' | 'isolate'> = {},
): Promise<R> {
  checkFunction('withRoot()', fn);
  const asRoot = { ...options, parent: null };
  checkScope('withRoot()', asRoot);
  return new Scope(asRoot, 'lexical').complete(fn);
}
