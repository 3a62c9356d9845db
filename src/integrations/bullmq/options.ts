import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionError, ScopeClosedError } from '../../errors.ts';
import { callable, checkOptions, duration } from '../../options.ts';
import { type Limits, Scope } from '../../scope/index.ts';
import { checkLimits } from '../../scope/limits.ts';

/** Settings of `scopeWorker`. */
export interface ScopeWorkerOptions {
  /** By the name of a pool, how many connections the jobs of this worker may open together. Default: what the pools say. */
  readonly limits?: Limits | undefined;
  /** A scope whose pools the worker shares with others. It is not closed with the worker. Default: a root of its own. */
  readonly scope?: Scope | undefined;
  /** Told what nobody can be thrown: leaks, failures after the first, tasks that fail in the worker's scope. Default: a process warning. */
  readonly onError?: ((error: unknown, where: string) => void) | undefined;
  /** How long `worker.close()` waits, once BullMQ has closed, for tasks that were spawned in the worker's scope. Default 10,000. */
  readonly graceMs?: number | undefined;
}

const WHERE = 'scopeWorker()';
const CHECKS = {
  limits: () => undefined,
  scope: (value: unknown) => (value instanceof Scope ? undefined : 'a Scope'),
  onError: callable,
  graceMs: duration(),
} satisfies Record<keyof ScopeWorkerOptions, unknown>;

/** @throws InvalidOptionError, ScopeClosedError when the given scope takes no more jobs. */
export function checkScopeWorker(options: ScopeWorkerOptions): void {
  checkOptions(WHERE, options, CHECKS);
  const { scope, limits } = options;
  if (limits !== undefined) checkLimits(WHERE, limits);
  if (!scope) return;
  const taken = (['limits', 'graceMs'] as const).find((option) => options[option] !== undefined);
  if (taken) {
    const expected = 'absent beside scope, which has its own: set it where that scope is opened';
    throw new InvalidOptionError({ where: WHERE, option: taken, expected, actual: options[taken] });
  }
  if (scope.state !== 'open') throw new ScopeClosedError(scope.name, scope.state);
}

/** @throws InvalidOptionError when a worker that is wrapped already is to be wrapped in another way. Functions may differ. */
export function checkSame(first: ScopeWorkerOptions, again: ScopeWorkerOptions): void {
  for (const option of ['limits', 'scope', 'graceMs'] as const) {
    const actual = again[option];
    const isSame = option === 'limits' ? isDeepStrictEqual : Object.is;
    if (actual === undefined || isSame(actual, first[option])) continue;
    const expected = 'what it was when this worker was wrapped first, or absent';
    throw new InvalidOptionError({ where: WHERE, option, expected, actual });
  }
}
