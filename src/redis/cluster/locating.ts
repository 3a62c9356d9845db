import { after, cancel, now } from '../../clock.ts';
import { currentFrame, enterFrame, type Frame } from '../../context.ts';
import { AcquireAbortedError, type AcquireFacts, AcquireTimeoutError, ScopeCancelledError, ScopeClosedError } from '../../errors.ts';
import type { List } from '../../list.ts';
import { forgive } from '../../pool/hold.ts';
import type { LeaseKind } from '../../pool/lease.ts';
import type { Belonging, TreeNode } from '../../scope/belonging.ts';
import type { Scope } from '../../scope/index.ts';
import type { Work } from '../../scope/work.ts';

/** What is wanted, and for how long it may be waited for. */
export interface Wanted {
  readonly pool: string;
  readonly scope: Scope;
  readonly kind: LeaseKind;
  readonly exclusive: boolean;
  readonly max: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** An acquire that does not know yet from which node: it waits in its scope as one does that waits for a connection. */
export class Locating<R> implements Belonging {
  prev: Belonging | undefined = undefined;
  next: Belonging | undefined = undefined;
  list: List<Belonging> | undefined = undefined;
  readonly #wanted: Wanted;
  readonly #since = now();
  readonly promise: Promise<R>;
  #end: (settle: () => void) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  /** @param lend Called once it is known; whatever it begins is in the scope before this has left it. */
  constructor(wanted: Wanted, known: Promise<unknown>, lastError: () => unknown, lend: () => R | Promise<R>) {
    const { scope, timeoutMs, signal } = wanted;
    const frame = currentFrame() ?? { scope, work: undefined, held: undefined };
    this.#wanted = wanted;
    scope.own(this);
    const found = new Promise<R>((resolve, reject) => {
      const refuse = (error: unknown) => this.#end(() => reject(error));
      const onAbort = () => refuse(new AcquireAbortedError(wanted.pool, signal?.reason));
      const timer =
        timeoutMs === Number.POSITIVE_INFINITY
          ? undefined
          : after(timeoutMs, () => refuse(new AcquireTimeoutError(this.#facts(), lastError())));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#reject = reject;
      this.#end = (settle) => {
        this.#end = () => {};
        cancel(timer);
        signal?.removeEventListener('abort', onAbort);
        settle();
        scope.disown(this);
      };
      known.then(() => this.#end(() => resolve(goOn(frame, lend))), refuse);
    });
    this.promise = reportedOnce(found);
  }

  get awaited(): boolean {
    return this.#wanted.kind === 'library';
  }

  onCancel(reason: unknown): void {
    this.#end(() => this.#reject(new ScopeCancelledError(this.#wanted.scope.name, reason)));
  }

  onEnd(): Error | undefined {
    const { pool, scope, kind } = this.#wanted;
    const abandoned = new ScopeClosedError(scope.name, 'closed', { pool, site: undefined });
    this.#end(() => this.#reject(abandoned));
    return kind === 'user' ? abandoned : undefined;
  }

  describe(): TreeNode {
    const { pool, exclusive } = this.#wanted;
    const state = `${exclusive ? 'exclusive' : 'shared'}, waiting`;
    return { name: pool, kind: 'waiter', state, ageMs: now() - this.#since, children: [] };
  }

  #facts(): AcquireFacts {
    const { pool, scope, exclusive, max } = this.#wanted;
    const waitedMs = now() - this.#since;
    return { pool, scope: scope.root.name, phase: 'creating', exclusive, waitedMs, max, inUse: 0, idle: 0, pending: 1, holders: [] };
  }
}

/** What the end of a scope has rejected is reported there: whoever has forgotten to await it need not hear of it twice. */
export function reportedOnce<R>(begun: Promise<R>): Promise<R> {
  const told: Promise<R> = begun.catch((error: unknown) => {
    if (error instanceof ScopeClosedError) forgive(told);
    throw error;
  });
  return told;
}

/**
 * Goes on with what was begun in that frame, also when its scope, which waits for it, lets nothing new begin. What is
 * thrown becomes a rejection.
 */
export async function goOn<R>({ scope, held }: Frame, fn: () => R | Promise<R>): Promise<R> {
  const work: Work = { scope: scope as Scope, outer: undefined, ended: false };
  return enterFrame({ scope, work, held }, fn);
}
