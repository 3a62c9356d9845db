import { now } from '../clock.ts';
import { enterFrame } from '../context.ts';
import { LazyAbort } from './abort.ts';
import type { TreeNode } from './belonging.ts';
import type { Lifetime } from './lifetime.ts';
import type { Work } from './work.ts';

/** What a task is told. */
export interface TaskContext {
  /** Aborts when the task, or its scope, is cancelled. Made when it is first read. */
  readonly signal: AbortSignal;
}

/** A tracked task: a promise for its value that can be cancelled. */
export interface Task<T> extends Promise<T> {
  readonly name: string;
  readonly signal: AbortSignal;
  /** Aborts the task's signal. The task ends when its code does. */
  cancel(reason?: unknown): void;
}

/** Settings of `scope.spawn`. */
export interface SpawnOptions {
  /** Shown in errors and in `scope.tree()`. Default: the name of the function, else `task`. */
  readonly name?: string;
  /** The scope does not wait for it; it is cancelled when the scope closes. Default false. */
  readonly background?: boolean;
}

/** The entry of a task in its scope. */
export class RunningTask implements Work {
  readonly scope: Lifetime;
  readonly name: string;
  readonly background: boolean;
  /** Like the scope itself, so that a task on a worker's scope outlives the job that spawned it. */
  readonly outer: undefined = undefined;
  readonly abort = new LazyAbort();
  readonly #since = now();
  ended = false;

  constructor(scope: Lifetime, name: string, background: boolean) {
    this.scope = scope;
    this.name = name;
    this.background = background;
  }

  /** Runs `fn` in the scope's context, whoever calls. */
  start<T>(fn: (task: TaskContext) => T | PromiseLike<T>, settled: (failure?: { error: unknown }) => void): Task<T> {
    const { abort } = this;
    const result = enterFrame({ scope: this.scope, work: this, held: undefined }, async () => fn(abort));
    const end = (failure?: { error: unknown }) => {
      this.ended = true;
      settled(failure);
    };
    result.then(
      () => end(),
      (error: unknown) => end(abort.isEcho(error) ? undefined : { error }),
    );
    return Object.defineProperties(result, {
      name: { value: this.name },
      signal: { get: () => abort.signal },
      cancel: { value: (reason: unknown) => abort.abort(reason ?? new DOMException(`task "${this.name}" was cancelled`, 'AbortError')) },
    }) as Task<T>;
  }

  describe(): TreeNode {
    const kind = this.background ? 'background' : 'task';
    return { name: this.name, kind, state: this.abort.aborted ? 'cancelled' : 'running', ageMs: now() - this.#since, children: [] };
  }
}
