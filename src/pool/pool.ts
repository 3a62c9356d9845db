import { CHANNELS, type Message, traced } from '../channels.ts';
import { currentFrame, type Frame } from '../context.ts';
import { NoScopeError, PoolClosedError, ScopeClosedError } from '../errors.ts';
import { callable, checkArgument, checkOptions, duration } from '../options.ts';
import { type Limit, type Scope, tryCurrentScope } from '../scope/index.ts';
import type * as api from './api.ts';
import { Engine } from './engine.ts';
import { type PoolHealth, UNUSED } from './health.ts';
import { forgive, heldIn, hold, type UseFunction } from './hold.ts';
import { Lease, type LeaseKind } from './lease.ts';
import { type AcquireOptions, checkAcquire, type PoolSettings, RULE_CHECKS, type Rules, rulesOf } from './options.ts';
import { Passage, tryPass } from './passage.ts';
import { permitsIn } from './quota.ts';
import { refresh } from './refresh.ts';
import { emptyStats, inspect, type PoolInspection, type PoolStats, statsOf } from './report.ts';
import { siteOf } from './sampler.ts';

const CLOSE_CHECKS = { graceMs: duration() };

/** The definition behind the {@link api.Pool} that users see; finds, or opens, the pool of the current root scope. */
export class Pool<T> implements api.Pool<T> {
  readonly name: string;
  /** Where it was defined, as `file:line:column`. */
  readonly site = siteOf(new Error('defined here')) ?? 'an unknown place';
  #settings: PoolSettings<T>;
  #rules: Rules;
  /** What another definition of the name has put in this one's place. */
  #successor: Pool<T> | undefined;
  readonly #engines = new Set<Engine<T>>();

  constructor(name: string, settings: PoolSettings<T>) {
    this.name = name;
    this.#settings = settings;
    this.#rules = rulesOf(settings);
  }

  use<R>(fn: UseFunction<T, R>, options?: AcquireOptions): Promise<R> {
    return this.#lendTo(fn, true, options);
  }

  share<R>(fn: UseFunction<T, R>, options?: AcquireOptions): Promise<R> {
    return this.#lendTo(fn, false, options);
  }

  acquire(options?: AcquireOptions): Promise<Lease<T>> {
    return this.#promise(true, options);
  }

  acquireShared(options?: AcquireOptions): Promise<Lease<T>> {
    return this.#promise(false, options);
  }

  tryAcquire(): Lease<T> | undefined {
    if (this.#successor) return this.#successor.tryAcquire();
    const scope = this.#scope();
    const engine = this.#engineOf(scope.root);
    if (!engine) return undefined;
    const lease = new Lease(engine, scope, true, 'user', heldIn(currentFrame() as Frame));
    const permits = permitsIn(scope, engine);
    return permits ? tryPass(lease, permits) : engine.tryAcquire(lease);
  }

  stats(): PoolStats {
    if (this.#successor) return this.#successor.stats();
    const { root } = this.#scope();
    const engine = this.#engineOf(root);
    return engine ? statsOf(engine) : emptyStats(this.#rulesIn(root).max);
  }

  inspect(): PoolInspection {
    if (this.#successor) return this.#successor.inspect();
    const { root } = this.#scope();
    const engine = this.#engineOf(root);
    return engine ? inspect(engine) : { pool: this.name, scope: root.name, stats: this.stats(), connections: [], waiters: [] };
  }

  health(): PoolHealth {
    if (this.#successor) return this.#successor.health();
    return this.#engineOf(this.#scope().root)?.health() ?? UNUSED;
  }

  resize(max: number): void {
    checkArgument(`pool "${this.name}": resize()`, 'max', max, RULE_CHECKS.max);
    if (this.#successor) return this.#successor.resize(max);
    this.#open(this.#scope().root).resize(max);
  }

  async refresh(): Promise<void> {
    if (this.#successor) return this.#successor.refresh();
    const engine = this.#engineOf(this.#scope().root);
    if (engine) await refresh(engine);
  }

  async close(options: api.PoolCloseOptions = {}): Promise<void> {
    checkOptions(`pool "${this.name}": close()`, options, CLOSE_CHECKS);
    if (this.#successor) return this.#successor.close(options);
    return this.#open(this.#scope().root).close(options.graceMs ?? 10_000);
  }

  // What follows is for the parts of the library.

  /** What makes the pool another one when it differs. */
  get plain(): object | undefined {
    return this.#settings.plain;
  }

  get unique(): boolean {
    return this.#settings.unique ?? false;
  }

  /** The newest functions serve new connections. */
  adopt(newer: Pool<T>): void {
    this.#settings = newer.settings;
  }

  /** The functions, and what they came with. */
  get settings(): PoolSettings<T> {
    return this.#settings;
  }

  /** Another definition takes the name: what is open here drains, what comes goes to it. */
  yieldTo(successor: Pool<T>): void {
    this.#successor = successor;
    for (const engine of this.#engines) {
      // Nobody reaches it by this definition any more.
      void engine.close(Number.POSITIVE_INFINITY).then(() => engine.root.removeSingle(this, engine));
    }
  }

  /** Puts other functions in the place of the definition's, in one root scope that has not used the pool yet. */
  replaceIn(root: Scope, settings: PoolSettings<T>): void {
    if (this.#engineOf(root)) throw new PoolClosedError(this.name, root.name);
    this.#install(root, settings);
  }

  /** A lease that begins now, or a promise for one. */
  protected lend(exclusive: boolean, kind: LeaseKind, options?: AcquireOptions): Lease<T> | Promise<Lease<T>> {
    if (this.#successor) return this.#successor.lend(exclusive, kind, options);
    if (options) checkAcquire(this.name, options);
    const frame = currentFrame() ?? this.#nowhere();
    const scope = frame.scope as Scope;
    const engine = this.#engineOf(scope.root) ?? this.#open(scope.root);
    const lease = new Lease(engine, scope, exclusive, kind, heldIn(frame));
    const permits = scope.quota && permitsIn(scope, engine);
    const passage = permits && new Passage(lease, permits, options);
    if (!CHANNELS.acquire.hasSubscribers) return passage ? passage.begin() : engine.acquire(lease, options);
    const message: Message = { pool: this.name, scope: scope.name, exclusive, priority: options?.priority ?? 'normal' };
    const acquire = () => {
      const begun = passage ? passage.begin() : engine.acquire(lease, options);
      message.waits = begun instanceof Promise;
      return begun;
    };
    return traced(CHANNELS.acquire, message, acquire, isReported);
  }

  #lendTo<R>(fn: UseFunction<T, R>, exclusive: boolean, options: AcquireOptions | undefined): Promise<R> {
    try {
      if (typeof fn !== 'function') checkArgument(`pool "${this.name}": ${exclusive ? 'use' : 'share'}()`, 'its function', fn, callable);
      const begun = this.lend(exclusive, 'user', options);
      if (!(begun instanceof Promise)) return hold(begun, fn);
      const used: Promise<R> = begun.then(
        (lease) => hold(lease, fn, () => forgive(used)),
        (error: unknown) => {
          if (isReported(error)) forgive(used);
          throw error;
        },
      );
      return used;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Not an async function: one promise is what acquiring costs most. */
  #promise(exclusive: boolean, options: AcquireOptions | undefined): Promise<Lease<T>> {
    try {
      const begun = this.lend(exclusive, 'user', options);
      return begun instanceof Promise ? begun : Promise.resolve(begun);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #scope(): Scope {
    return tryCurrentScope() ?? this.#nowhere();
  }

  #nowhere(): never {
    throw new NoScopeError(`pool "${this.name}"`);
  }

  #engineOf(root: Scope): Engine<T> | undefined {
    return root.single(this) as Engine<T> | undefined;
  }

  #open(root: Scope): Engine<T> {
    tryCurrentScope();
    return this.#engineOf(root) ?? this.#install(root, undefined);
  }

  #install(root: Scope, fake: PoolSettings<T> | undefined): Engine<T> {
    const engine = new Engine(this.name, root, this.#rulesIn(root), fake ? { settings: fake } : this);
    root.addSingle(this, engine);
    this.#engines.add(engine);
    engine.onClosed = () => void this.#engines.delete(engine);
    return engine;
  }

  /** The rules of the definition, with what the root scope says of this pool. */
  #rulesIn(root: Scope): Rules {
    const limit: Limit | undefined = root.limits[this.name];
    if (limit === undefined) return this.#rules;
    const { max, acquireTimeoutMs } = typeof limit === 'number' ? { max: limit, acquireTimeoutMs: undefined } : limit;
    const rules = { ...this.#rules, max: max ?? this.#rules.max, acquireTimeoutMs: acquireTimeoutMs ?? this.#rules.acquireTimeoutMs };
    return { ...rules, min: Math.min(rules.min, rules.max) };
  }
}

/** Whether it came of waiting until the scope had ended, which reports it. */
function isReported(error: unknown): boolean {
  return error instanceof ScopeClosedError;
}
