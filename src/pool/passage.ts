import { now } from '../clock.ts';
import { AcquireAbortedError, PoolClosedError } from '../errors.ts';
import { Lease } from './lease.ts';
import type { AcquireOptions } from './options.ts';
import type { Permits } from './quota.ts';
import type { Caller, Waiter } from './waiter.ts';
import { Deferred } from './waiting.ts';

/**
 * An acquire on its way to its pool, through one line after the other: that of the innermost quota first, so that
 * nobody keeps a place from others who could go on. In its scope there is one lease all the time, which waits; the
 * permits belong to the lease. Between two lines nobody takes a turn of the event loop.
 */
export class Passage<T> implements Caller<object> {
  readonly #lease: Lease<T>;
  readonly #options: AcquireOptions | undefined;
  readonly #timeoutMs: number;
  /** The line of a quota that comes next, or that it waits in. */
  #line: Permits | undefined;
  /** One for all lines. */
  #deadline: number | undefined;
  #end: Deferred<T> | undefined;

  constructor(lease: Lease<T>, line: Permits, options: AcquireOptions | undefined) {
    this.#lease = lease;
    this.#line = line;
    this.#options = options;
    this.#timeoutMs = options?.acquireTimeoutMs ?? line.rules.acquireTimeoutMs;
  }

  /** Begins the lease now, or when it has been through all lines. @throws as `acquire` of the pool. */
  begin(): Lease<T> | Promise<Lease<T>> {
    const lease = this.#lease;
    const { sampler, scheduler } = lease.engine;
    lease.engine.enter(lease, this.#options);
    // Here, as few calls from whoever acquires as in the engine: a stack is not deep.
    if (lease.kind === 'user') lease.sample = sampler.sample(scheduler.waiters.size > 0);
    try {
      return this.#goOn() ? lease : this.#caller.promise;
    } catch (error) {
      lease.leave();
      throw error;
    }
  }

  /** It has got its permit: called within the release of who had it. */
  resolve(permit: Lease<object>): void {
    const { engine } = this.#lease;
    const { signal } = this.#options ?? {};
    engine.waiting.coming.delete(this.#lease);
    this.#lease.pass(permit);
    this.#line = this.#line?.outer;
    try {
      if (engine.isClosed) throw new PoolClosedError(engine.name, engine.root.name);
      // Whoever gave it back may have heard of the same signal a moment ago.
      if (signal?.aborted) throw new AcquireAbortedError(engine.name, signal.reason);
      if (!this.#goOn()) return;
      this.#lease.waiter = undefined;
      this.#caller.resolve(this.#lease);
    } catch (error) {
      this.reject(error as Error);
    }
  }

  reject(error: Error): void {
    const { engine } = this.#lease;
    engine.waiting.coming.delete(this.#lease);
    this.#lease.waiter = undefined;
    this.#lease.leave();
    this.#caller.reject(error);
  }

  forgive(): void {
    this.#caller.forgive();
  }

  get #caller(): Deferred<T> {
    this.#end ??= new Deferred();
    return this.#end;
  }

  /** @returns whether the lease has begun; else it waits in the next line where it has to. @throws TooManyWaitersError */
  #goOn(): boolean {
    const { engine } = this.#lease;
    for (; this.#line; this.#line = this.#line.outer) {
      const permit = permitFor(this.#lease, this.#line);
      if (!this.#line.beginNow(permit)) {
        this.#line.waiting.wait(permit, this, this.#options, this.#by());
        this.#onWait(permit);
        return false;
      }
      this.#lease.pass(permit);
    }
    if (engine.beginNow(this.#lease)) return true;
    engine.waiting.wait(this.#lease, this.#caller, this.#options, this.#by());
    return false;
  }

  #onWait({ sample, since, waiter }: Lease<object>): void {
    const lease = this.#lease;
    // Whoever goes on for it later is somebody else.
    lease.sample ??= sample;
    if (!lease.waiter) lease.since = since;
    lease.waiter = waiter as unknown as Waiter<T>;
    lease.engine.waiting.coming.add(lease);
  }

  #by(): number {
    this.#deadline ??= now() + this.#timeoutMs;
    return this.#deadline;
  }
}

/** Begins the lease if it need not wait in any line. */
export function tryPass<T>(lease: Lease<T>, permits: Permits): Lease<T> | undefined {
  try {
    for (let line: Permits | undefined = permits; line; line = line.outer) {
      const permit = permitFor(lease, line);
      if (!line.beginNow(permit)) return undefined;
      lease.pass(permit);
    }
    return lease.engine.tryAcquire(lease);
  } finally {
    if (lease.ended) lease.permit?.release();
    for (let { permit } = lease; permit; permit = permit.permit) permit.sample = lease.sample;
  }
}

/** Never one of the scope: it is the lease that begins, is ended and is reported there. */
function permitFor<T>(lease: Lease<T>, line: Permits): Lease<object> {
  const permit = new Lease<object>(line, lease.scope, lease.exclusive, 'user', lease.outer);
  permit.permit = lease.permit;
  permit.sample = lease.sample;
  return permit;
}
