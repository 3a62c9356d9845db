import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionError, ScopeClosedError } from '../../errors.ts';
import { type Check, callable, checkOptions, duration, flag, oneOf } from '../../options.ts';
import { show } from '../../redact.ts';
import { type Limits, Scope } from '../../scope/index.ts';
import { checkLimits } from '../../scope/limits.ts';
import { checkEnvironment, type WorkerFacts } from './limits.ts';

/** What comes of a lease that a job still holds when it has ended. It is revoked in any case. */
export type LeakPolicy = 'report' | 'fail' | 'ignore';

/** Settings of a worker's scope: of `scopeWorker`, `scoped`, `withScopes` and `scopeSandbox`. */
export interface BullScopeOptions {
  /**
   * By the name of a pool, how many connections the jobs of this worker may open together; or a function that gives
   * these. Default: what the pools say. With `scope`, how many of the shared connections they may hold together. The
   * environment variable `SCOPED_POOL_LIMITS` goes before it.
   */
  readonly limits?: Limits | ((worker: WorkerFacts) => Limits) | undefined;
  /** A scope whose pools the worker shares with others; it is not closed with the worker. Default: pools of its own. */
  readonly scope?: Scope | undefined;
  /** Told what nobody can be thrown: leaks, failures after the first, tasks that fail in the worker's scope. Default: a process warning. */
  readonly onError?: ((error: unknown, where: string) => void) | undefined;
  /**
   * What comes of a lease that a job still holds when it has ended, and that is revoked then: `report` tells `onError`,
   * `fail` fails the job with that error, `ignore` says nothing. So does an acquire that still waits. Default `report`.
   */
  readonly onLeakedLease?: LeakPolicy | undefined;
  /**
   * Whether jobs get BullMQ's abort signal as third argument, however many parameters the processor has, for an
   * AbortController per job. Without it only a processor of three or more does. `worker.cancelJob()` cancels the scope of
   * a job in any case. Default false.
   */
  readonly abortable?: boolean | undefined;
  /**
   * Whether a job begins in an async context of its own, so that what foreign code sets with
   * `AsyncLocalStorage.enterWith()` before its first await does not reach the jobs that come after it. Default true.
   */
  readonly detach?: boolean | undefined;
  /** How long `worker.close()` waits, once BullMQ has closed, for tasks that were spawned in the worker's scope. Default 10,000. */
  readonly graceMs?: number | undefined;
}

const objectOrFunction: Check = (value) =>
  typeof value === 'object' || typeof value === 'function' ? undefined : 'an object, or a function that gives one';

const CHECKS = {
  limits: objectOrFunction,
  scope: (value: unknown) => (value instanceof Scope ? undefined : 'a Scope'),
  onError: callable,
  onLeakedLease: oneOf('report', 'fail', 'ignore'),
  abortable: flag,
  detach: flag,
  graceMs: duration(),
} satisfies Record<keyof BullScopeOptions, unknown>;

/**
 * @param where Who asks: `scopeWorker()`.
 * @throws InvalidOptionError, ScopeClosedError when the given scope takes no more jobs.
 */
export function checkBullScope(where: string, options: BullScopeOptions, checks: Readonly<Record<string, Check>> = CHECKS): void {
  checkOptions(where, options, checks);
  checkEnvironment();
  const { limits, scope } = options;
  if (typeof limits === 'object') checkLimits(where, limits);
  if (scope && scope.state !== 'open') throw new ScopeClosedError(scope.name, scope.state);
}

const { scope: _, abortable: __, ...inSandbox } = CHECKS;
/** Those of what is run by a child. */
export const SANDBOX_CHECKS = inSandbox;

const DEFAULTS: BullScopeOptions = { onLeakedLease: 'report', abortable: false, detach: true, graceMs: 10_000 };

/** @throws InvalidOptionError when a worker that has a scope already is to have another one. Functions may differ. */
export function checkSame(where: string, first: BullScopeOptions, again: BullScopeOptions): void {
  for (const option of ['limits', 'scope', 'onLeakedLease', 'abortable', 'detach', 'graceMs'] as const) {
    const actual = again[option];
    const known = first[option] ?? DEFAULTS[option];
    const isSame = option === 'limits' ? isDeepStrictEqual : Object.is;
    if (actual === undefined || typeof actual === 'function' || isSame(actual, known)) continue;
    // Of an object a message says no more than that it is one.
    const both = `${inWords(known)} or ${inWords(actual)}?`;
    const expected = `the same wherever a worker and its processor are wrapped (${both}), or absent`;
    throw new InvalidOptionError({ where, option, expected, actual });
  }
}

function inWords(value: unknown): string {
  if (value instanceof Scope) return `scope "${value.name}"`;
  if (value === undefined) return 'none';
  return typeof value === 'object' ? JSON.stringify(value) : show(value);
}
