import { Scope } from '../scope/index.ts';

/**
 * Calls `fn` as soon as a scope begins to close, while it still waits for what runs in it: a child that was opened by
 * hand is closed first of all.
 *
 * @returns takes it back.
 * @throws ScopeClosedError, ScopeCancelledError.
 */
export function whenClosing(scope: Scope, name: string, fn: () => void): () => void {
  const door = new Scope({ parent: scope, name });
  const forget = door.onClose(fn, { name });
  return () => {
    forget();
    // It may be `fn` that asks.
    if (door.state === 'open') void door.close();
  };
}
