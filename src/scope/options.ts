import { InvalidOptionError } from '../errors.ts';
import { abortSignal, anything, callable, checkArgument, checkOptions, duration, flag, text } from '../options.ts';
import { isBranded } from './brand.ts';
import type { CloserOptions } from './cleanup.ts';
import type { Lifetime } from './lifetime.ts';
import { checkLimits, type Limits } from './limits.ts';
import type { SpawnOptions } from './task.ts';

/** Settings of a scope. */
export interface ScopeOptions {
  /** Shown in errors and in `scope.tree()`. Default `scope`. */
  readonly name?: string | undefined;
  /** The scope that this one is closed with. Default: the current scope. `null` makes a root. */
  readonly parent?: Lifetime | null | undefined;
  /** Own pools, as a root has, though it is closed with its parent. Default false. */
  readonly isolate?: boolean | undefined;
  /** By the name of a pool, how many connections the scope may open. Only where pools are owned: a root, or with `isolate`. */
  readonly limits?: Limits | undefined;
  /** Cancels the scope, with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long closing waits for what runs, in milliseconds, before it cancels. Default 10,000; `Infinity` for `withScope` and `withRoot`. */
  readonly graceMs?: number | undefined;
  /** How long closing waits for what was cancelled, in milliseconds. Default 1,000. */
  readonly cancelMs?: number | undefined;
  /** Supervises: told every failure of a task or child, whose siblings then go on. Without it the first failure cancels the rest. */
  readonly onError?: ((error: unknown, from: string) => void) | undefined;
  /** Told what cannot be thrown: failures after the first, leaks. Default: the parent's; a process warning at the root. */
  readonly onSuppressed?: ((error: unknown, from: string) => void) | undefined;
}

/** Settings of `scope.close`; they replace those of the scope. In a later close a 0 ends that waiting, all else counts for nothing. */
export interface CloseOptions {
  readonly graceMs?: number;
  readonly cancelMs?: number;
}

/** Waits for nothing more. */
export const AT_ONCE: CloseOptions = { graceMs: 0, cancelMs: 0 };

const isScope = (value: unknown) => (value === null || isBranded(value) ? undefined : 'a Scope, or null for a root');

const SCOPE_CHECKS = {
  name: text,
  parent: isScope,
  isolate: flag,
  limits: anything,
  signal: abortSignal,
  graceMs: duration(),
  cancelMs: duration(),
  onError: callable,
  onSuppressed: callable,
} satisfies Record<keyof ScopeOptions, unknown>;

/** @throws InvalidOptionError */
export function checkScope(where: string, options: ScopeOptions): void {
  checkOptions(where, options, SCOPE_CHECKS);
  if (options.limits === undefined) return;
  checkLimits(where, options.limits);
  if (options.parent === null || options.isolate) return;
  throw new InvalidOptionError({
    where,
    option: 'limits',
    expected: 'absent here: this scope uses the pools of its root; limit the root, or set isolate',
    actual: options.limits,
  });
}

/** @throws InvalidOptionError */
export function checkFunction(where: string, fn: unknown): void {
  checkArgument(where, 'its function', fn, callable);
}

const CLOSE_CHECKS = { graceMs: duration(), cancelMs: duration() };
const SPAWN_CHECKS = { name: text, background: flag };
const CLOSER_CHECKS = { name: text, timeoutMs: duration(1) };

/** @throws InvalidOptionError */
export function checkClose(options: CloseOptions): void {
  checkOptions('scope.close()', options, CLOSE_CHECKS);
}

/** @throws InvalidOptionError */
export function checkSpawn(fn: unknown, options: SpawnOptions): void {
  checkFunction('scope.spawn()', fn);
  checkOptions('scope.spawn()', options, SPAWN_CHECKS);
}

/** @throws InvalidOptionError */
export function checkCloser(where: string, fn: unknown, options: CloserOptions): void {
  checkFunction(where, fn);
  checkOptions(where, options, CLOSER_CHECKS);
}
