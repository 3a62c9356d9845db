import type { Scope } from '../../scope/index.ts';
import type { WorkerInside } from './worker.ts';

// For every copy of the library.
const WORKER = Symbol.for('scoped-pool.worker-of-scope');

/** A worker, and the scope that it was given. */
export interface WorkerAround {
  readonly worker: WorkerInside;
  readonly scope: Scope;
}

/** Says whose scope it is, so that what runs in it finds the worker. */
export function announce(scope: Scope, worker: WorkerInside): void {
  Object.defineProperty(scope, WORKER, { value: worker });
}

/** The worker for which the code in a scope runs; `undefined` where that is something else. */
export function workerAround(scope: Scope): WorkerAround | undefined {
  for (let at: Scope | null = scope; at; at = at.parent) {
    const worker = (at as { [WORKER]?: WorkerInside })[WORKER];
    if (worker) return { worker, scope: at };
  }
  return undefined;
}
