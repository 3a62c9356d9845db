import { now } from '../clock.ts';
import { type Closer, STOP_TIMEOUT_MS } from './cleanup.ts';
import type { Scope } from './scope.ts';

/** Something that is lent for as long as its holder likes. */
export interface Held<R> {
  readonly resource: R;
  readonly ended: boolean;
  release(): void;
  destroy(): void;
}

/** Who lends: a pool. */
export interface Lender<R> {
  readonly name: string;
  acquire(): Promise<Held<R>>;
}

/** A lease for as long as a scope: taken once, however often it is asked for, and given back last of all that the scope does. */
export class HeldLease<R> implements Closer {
  readonly name: string;
  readonly timeoutMs = STOP_TIMEOUT_MS;
  readonly openedAt = now();
  readonly inner: Scope;
  readonly key: Lender<R>;
  /** Rejects with what `acquire` throws. */
  readonly lease: Promise<Held<R>>;
  readonly #isStopped: () => boolean;

  /** @param inner In which the lease is: the scope itself might wait for its return. */
  constructor(lender: Lender<R>, inner: Scope, isStopped: () => boolean) {
    this.name = lender.name;
    this.key = lender;
    this.inner = inner;
    this.#isStopped = isStopped;
    this.lease = inner.run(() => lender.acquire());
  }

  /** After a cancel nobody knows what the code that had it still does with it. */
  async close(): Promise<void> {
    const lease = await this.lease.catch(() => undefined);
    if (this.#isStopped()) lease?.destroy();
    else lease?.release();
    await this.inner.close();
  }
}
