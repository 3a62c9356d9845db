import { ScopeCancelledError, ScopeClosedError, ScopeDeadlockError, ScopeTimeoutError } from '../errors.ts';

/** Thrown to whoever awaits, in work of a scope, the end of that scope; where nobody does, nobody has to hear of it. */
export function deadlock(scope: string): Promise<never> {
  const refused = Promise.reject(new ScopeDeadlockError(scope));
  refused.catch(() => {});
  return refused;
}

/** What is thrown for failures that count the same: a single one as it is, several as one. */
export function asOne(errors: readonly unknown[], where: string): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, `${where}: ${errors.length} failures`);
}

/** Whether something could not begin, because its scope takes nothing more. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ScopeClosedError || error instanceof ScopeCancelledError;
}

/** Whether a scope has not ended all that was in it. */
export function hasLeftBehind(errors: readonly unknown[]): boolean {
  return errors.some((error) => error instanceof ScopeTimeoutError);
}
