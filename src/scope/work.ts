import type { Lifetime } from './lifetime.ts';

/** Something that a scope waits for before it closes: a task, the body of `withScope`, a closer. */
export interface Work {
  readonly scope: Lifetime;
  /** Whether its scope does not wait for it. */
  readonly background?: boolean;
  /** The work it was begun in and that, as a rule, awaits it. */
  outer: Work | undefined;
  ended: boolean;
}

/** Ends a work and forgets what it was begun in, or a timer that opens a root which sets a timer would link them all. */
export function end(work: Work): void {
  work.ended = true;
  work.outer = undefined;
}

/** Whether the code that runs in `work` is running work of `scope`, or of a scope below it. */
export function isInside(work: Work | undefined, scope: Lifetime): boolean {
  for (let inner = work; inner && !inner.ended; inner = inner.outer) {
    for (let above: Lifetime | null = inner.scope; above; above = above.parent) if (above === scope) return true;
  }
  return false;
}
