import { currentFrame, enterFrame, type Frame } from '../context.ts';
import type { Work } from '../scope/work.ts';
import type { Lease } from './lease.ts';

/** The code that `use` and `share` lend to. */
export type UseFunction<T, R> = (resource: T, lease: Lease<T>) => R | PromiseLike<R>;

/**
 * Runs `fn` as code that holds the lease; the lease ends when what `fn` returns has settled.
 *
 * @param onLost Called before a failure for which the end of the scope is to blame: it is reported there, and nobody need await it.
 */
export function hold<T, R>(lease: Lease<T>, fn: UseFunction<T, R>, onLost?: () => void): Promise<R> {
  let result: R | PromiseLike<R>;
  try {
    const { scope, work } = currentFrame() as Frame;
    result = enterFrame({ scope, work, held: lease }, fn, lease.resource, lease);
  } catch (error) {
    lease.release();
    return Promise.reject(error);
  }
  // Not an async function: its promise and its await would make up a third of what `use` costs.
  const held: Promise<R> = Promise.resolve(result).then(
    (value) => {
      lease.release();
      return value;
    },
    (error: unknown) => {
      if (lease.interruption) {
        forgive(held);
        onLost?.();
      }
      // Cancelled, it may have failed before all of it has ended.
      if (lease.scope.isStopped) lease.releaseUnsure();
      else lease.release();
      throw error;
    },
  );
  return held;
}

/** The innermost lease that the code of a frame holds: by its `use(fn)`, else by a scope that waits for it. */
export function heldIn({ held, work }: Frame): Lease<unknown> | undefined {
  if (held) return held as Lease<unknown>;
  // What a scope keeps comes back without waiting for what runs in the background.
  for (let at = work as Work | undefined; at && !at.background; at = at.outer) {
    if (at.scope.held) return at.scope.held as Lease<unknown>;
  }
  return undefined;
}

/** A rejection that nobody hears is no unhandled one. */
export function forgive(promise: Promise<unknown>): void {
  promise.catch(() => {});
}
