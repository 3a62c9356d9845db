import { abortSignal, anything, checkOptions, duration, text } from '../options.ts';
import { type Scope, type ScopeOptions, withRoot } from '../scope/index.ts';

/** Settings of `withTestRoot`. */
export interface TestRootOptions extends Pick<ScopeOptions, 'limits' | 'signal'> {
  /** Shown in errors. Default `test`. */
  readonly name?: string | undefined;
  /** How long the end of the test waits for what still runs, in milliseconds, before it cancels. Default 1,000. */
  readonly graceMs?: number | undefined;
  /** How long it then waits for what was cancelled, in milliseconds. Default 1,000. */
  readonly cancelMs?: number | undefined;
}

const CHECKS = {
  name: text,
  limits: anything,
  signal: abortSignal,
  graceMs: duration(),
  cancelMs: duration(),
} satisfies Record<keyof TestRootOptions, unknown>;

/**
 * Runs a test in a root scope of its own, with pools of its own, which end with it. In vitest:
 * `aroundEach((run) => withTestRoot(run))`.
 *
 * @returns what `fn` returned.
 * @throws the first failure of the test, as it is; when it passed, what it leaked: a LeaseLeakedError for each lease
 * that is still held, a ScopeTimeoutError with the names of tasks that do not end. Several are one AggregateError.
 * Beside a failure of the test leaks are process warnings.
 */
export async function withTestRoot<R>(fn: (scope: Scope) => R | PromiseLike<R>, options: TestRootOptions = {}): Promise<R> {
  checkOptions('withTestRoot()', options, CHECKS);
  const { name = 'test', graceMs = 1_000, ...others } = options;
  const left: unknown[] = [];
  const onSuppressed = (error: unknown) => void left.push(error);
  let value: R;
  try {
    value = await withRoot(fn, { ...others, name, graceMs, onSuppressed });
  } catch (error) {
    for (const also of left) process.emitWarning(also instanceof Error ? also : String(also));
    throw error;
  }
  if (left.length > 1) throw new AggregateError(left, [`root scope "${name}" of a test:`, ...left.map(String)].join('\n  '));
  if (left.length === 1) throw left[0];
  return value;
}
