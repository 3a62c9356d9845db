import type { PoolHealth } from './health.ts';
import type { AcquireOptions } from './options.ts';
import type { PoolInspection, PoolStats } from './report.ts';

/** The right to use one resource until `release()`, `destroy()` or the end of a `using` block. It ends once. */
export interface Lease<T> extends Disposable {
  /** The leased resource. @throws LeaseEndedError after the end of the lease. */
  readonly resource: T;
  /** Nobody else is on the resource. */
  readonly exclusive: boolean;
  /** Whether the lease is over. */
  readonly ended: boolean;
  /** Gives the resource back, to be lent again. Later calls do nothing. */
  release(): void;
  /** Ends the lease and the resource, which the caller knows to be broken. Other holders of it are not cut off. */
  destroy(): void;
}

/** Settings of `pool.close`. */
export interface PoolCloseOptions {
  /** How long to wait for holders, in milliseconds, before their connections are closed all the same. Default 10,000. */
  readonly graceMs?: number;
}

/**
 * A pool, defined once and opening nothing. Used inside a scope, it opens connections when they are needed, in the
 * root of that scope, and they live as long as that root.
 */
export interface Pool<T> {
  readonly name: string;

  /**
   * Lends a resource to `fn` alone, until what it returns has settled.
   *
   * @returns what `fn` returned.
   * @throws what `fn` threw, as it is; the resource is lent on, for an error of `fn` says nothing about it. Else what
   * `acquire` throws.
   */
  use<R>(fn: (resource: T, lease: Lease<T>) => R | PromiseLike<R>, options?: AcquireOptions): Promise<R>;

  /** As {@link use}, with a resource that up to `maxSharers` hold at a time. */
  share<R>(fn: (resource: T, lease: Lease<T>) => R | PromiseLike<R>, options?: AcquireOptions): Promise<R>;

  /**
   * An exclusive lease, to be released by the caller, at the latest when its scope ends.
   *
   * @throws NoScopeError outside every scope, AcquireTimeoutError, PoolDeadlockError, TooManyWaitersError,
   * AcquireAbortedError, PoolClosedError, ScopeClosedError, ScopeCancelledError.
   */
  acquire(options?: AcquireOptions): Promise<Lease<T>>;

  /** As {@link acquire}, for a shared lease. */
  acquireShared(options?: AcquireOptions): Promise<Lease<T>>;

  /**
   * An exclusive lease where that can be had at once, on a connection that is open and idle; else nothing. For hot
   * loops, `pool.tryAcquire() ?? (await pool.acquire())`, and for work that can also be done without. One of which nothing
   * was heard just now is none, for it may have died; to look at one, as `acquire` does, takes a turn of the event loop.
   */
  tryAcquire(): Lease<T> | undefined;

  /** What the pool holds in the current root scope. Opens nothing. @throws NoScopeError */
  stats(): PoolStats;

  /** Who holds what, since when and since which line of code, and who waits, as plain data. Opens nothing. @throws NoScopeError */
  inspect(): PoolInspection;

  /**
   * Whether connections can be had, as far as the pool knows. Waits for nothing. While the pool is down it tries again when
   * it is asked, at most once in each step of its backoff, so that whoever asks now and then hears when it is up.
   *
   * @throws NoScopeError
   */
  health(): PoolHealth;

  /**
   * Another `max` for the pool of the current root scope. When it is lowered, idle connections close at once and held
   * ones when their last holder has left. @throws InvalidOptionError, NoScopeError.
   */
  resize(max: number): void;

  /**
   * Replaces every connection of the current root scope that is open now, idle ones one after the other and held ones
   * when their last holder has left, without ever exceeding `max`. Resolves when all that were open are closed: not to
   * be awaited by code that holds one.
   *
   * @throws what `create` threw when one could not be replaced; the others are kept then.
   */
  refresh(): Promise<void>;

  /** Closes the pool of the current root scope: refuses what comes and what waits, waits for holders, closes all. */
  close(options?: PoolCloseOptions): Promise<void>;
}
