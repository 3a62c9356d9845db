import { currentFrame } from '../../context.ts';
import { CommandRefusedError, InvalidOptionError, NoScopeError, PoolInUseError } from '../../errors.ts';
import { checkArgument } from '../../options.ts';
import type { PoolCloseOptions } from '../../pool/api.ts';
import type { PoolHealth } from '../../pool/health.ts';
import type { Lease, LeaseKind } from '../../pool/lease.ts';
import { type AcquireOptions, type PoolSettings, RULE_CHECKS, rulesOf } from '../../pool/options.ts';
import type { Pool } from '../../pool/pool.ts';
import type { PoolStats } from '../../pool/report.ts';
import type { Scope } from '../../scope/index.ts';
import type { Sending } from '../attempt.ts';
import type { Redis } from '../ioredis.ts';
import { callbackOf, type Entry } from '../recorder.ts';
import { CommandPool } from '../redis-pool.ts';
import type { Failed } from '../retry.ts';
import type { Run } from '../until-reply.ts';
import type { ClusterInspection } from './api.ts';
import { type ClusterConfig, ClusterNodes } from './nodes.ts';
import { type ClusterAcquireOptions, KEY_CHECK, type RedisClusterPoolOptions, reachOf, seedsOf } from './options.ts';
import { isMovedBatch, redirectionOf } from './redirection.ts';
import { slotOf } from './slots.ts';
import { healthOfAll, sumOf } from './sum.ts';

/** How often a command follows from one node to the other before it is left to `retry`. */
const MOST_REDIRECTIONS = 5;

const SCAN_ADVICE = 'Its keys are spread over all nodes, and each knows its own alone: call it in use(fn, { key }), once for each node';

/** The pool behind {@link RedisClusterPool}: one pool for each node, and a table that says which node a key is on. */
export class ClusterPool extends CommandPool {
  readonly #config: ClusterConfig;
  /** Where the nodes are in a root scope: in place of the pool itself stands what replaces it in a test. */
  readonly #place = {};
  readonly #opened = new Set<ClusterNodes>();
  #options: RedisClusterPoolOptions;
  #settingsOf: ClusterConfig['settingsOf'];
  #successor: ClusterPool | undefined;

  constructor(name: string, settings: PoolSettings<Redis>, options: RedisClusterPoolOptions, settingsOf: ClusterConfig['settingsOf']) {
    super(name, settings);
    this.#options = options;
    this.#settingsOf = settingsOf;
    this.#config = {
      name,
      seeds: seedsOf(options),
      reach: (address) => reachOf(this.#options, address),
      settingsOf: (address, demotion) => this.#settingsOf(address, demotion),
      limitsIn: (root) => this.#limitsIn(root),
    };
  }

  scanStream(): never {
    throw this.#refusedScan('scanStream()');
  }

  scanBufferStream(): never {
    throw this.#refusedScan('scanBufferStream()');
  }

  override tryAcquire(options?: ClusterAcquireOptions): Lease<Redis> | undefined {
    if (this.#successor) return this.#successor.tryAcquire(options);
    if (this.#replacement) return super.tryAcquire();
    return this.#nodes().poolOf(this.#slotOf(options?.key))?.tryAcquire();
  }

  override stats(): PoolStats {
    if (this.#successor) return this.#successor.stats();
    const nodes = this.#known();
    return nodes && nodes.pools.size > 0 ? sumOf([...nodes.pools.values()].map((pool) => pool.stats())) : super.stats();
  }

  override health(): PoolHealth {
    if (this.#successor) return this.#successor.health();
    const nodes = this.#known();
    return nodes && nodes.pools.size > 0 ? healthOfAll([...nodes.pools.values()].map((pool) => pool.health())) : super.health();
  }

  override inspect(): ClusterInspection {
    if (this.#successor) return this.#successor.inspect();
    const each = [...(this.#known()?.pools ?? [])].map(([address, pool]) => [address, pool.inspect()] as const);
    const facts = each.map(([, inspection]) => inspection);
    if (each.length === 0) return { ...super.inspect(), nodes: {} };
    return {
      pool: this.name,
      scope: this.#scope().root.name,
      stats: this.stats(),
      connections: facts.flatMap(({ connections }) => connections),
      waiters: facts.flatMap(({ waiters }) => waiters),
      nodes: Object.fromEntries(each),
    };
  }

  override resize(max: number): void {
    checkArgument(`pool "${this.name}": resize()`, 'max', max, RULE_CHECKS.max);
    if (this.#successor) return this.#successor.resize(max);
    if (this.#replacement) return super.resize(max);
    this.#nodes().resize(max);
  }

  override async refresh(): Promise<void> {
    if (this.#successor) return this.#successor.refresh();
    const nodes = this.#known();
    if (!nodes) return super.refresh();
    await nodes.ask();
    await Promise.all([...nodes.pools.values()].map((pool) => pool.refresh()));
  }

  override async close(options?: PoolCloseOptions): Promise<void> {
    if (this.#successor) return this.#successor.close(options);
    if (this.#replacement) return super.close(options);
    const nodes = this.#nodes();
    nodes.stop();
    await Promise.all([...nodes.pools.values()].map((pool) => pool.close(options)));
  }

  // What follows is for the parts of the library.

  override adopt(newer: Pool<Redis>): void {
    super.adopt(newer);
    if (!(newer instanceof ClusterPool)) return;
    this.#options = newer.#options;
    this.#settingsOf = newer.#settingsOf;
  }

  override yieldTo(successor: Pool<Redis>): void {
    super.yieldTo(successor);
    this.#successor = successor as ClusterPool;
    for (const nodes of this.#opened) {
      nodes.stop();
      for (const pool of nodes.pools.values()) void pool.drain(nodes.root);
    }
  }

  override replaceIn(root: Scope, settings: PoolSettings<Redis>): void {
    if (root.single(this.#place)) throw new PoolInUseError(this.name, root.name);
    super.replaceIn(root, settings);
  }

  protected override lend(exclusive: boolean, kind: LeaseKind, options?: ClusterAcquireOptions): Lease<Redis> | Promise<Lease<Redis>> {
    if (this.#successor) return this.#successor.lend(exclusive, kind, options);
    const { key, ...others } = options ?? {};
    const slots = [this.#slotOf(key)];
    if (this.#replacement) return super.lend(exclusive, kind, others);
    return this.#nodes().lend({ slots, exclusive, kind, options: others satisfies AcquireOptions });
  }

  protected override lendFor(sending: Sending, exclusive: boolean, kind: LeaseKind): Lease<Redis> | Promise<Lease<Redis>> {
    if (this.#successor) return this.#successor.lendFor(sending, exclusive, kind);
    if (sending.entries.some(({ name }) => name.toLowerCase() === 'scan')) throw this.#refusedScan('SCAN');
    if (this.#replacement) return super.lend(exclusive, kind);
    const redirection = redirectionOf(sending.error);
    const node = redirection?.kind === 'ask' ? this.#config.reach(redirection.to) : undefined;
    // The node knows the key; we may not, where the command is one of a module.
    const slots = redirection ? [redirection.slot] : this.#slotsOf(sending.entries);
    return this.#nodes().lend({ slots, node, exclusive, kind });
  }

  protected override async replay(ms: number, batch: Run, entries: readonly Entry[], redirections = 0): Promise<unknown> {
    // Callbacks have been called by then.
    const mayFollow = redirections < MOST_REDIRECTIONS && !entries.some(({ given }) => callbackOf(given));
    const results = await super.replay(ms, batch, entries);
    return mayFollow && isMovedBatch(results) ? this.replay(ms, batch, entries, redirections + 1) : results;
  }

  protected override playOn(connection: Redis, run: Run, { error }: Sending): ReturnType<Run> {
    // It holds for the next command alone, so both leave together.
    if (redirectionOf(error)?.kind === 'ask') connection.asking().catch(() => {});
    return run(connection);
  }

  protected override retryAfterMs(failed: Failed): number | undefined {
    return redirectionOf(failed.error) && failed.attempts <= MOST_REDIRECTIONS ? 0 : super.retryAfterMs(failed);
  }

  /** What stands in for the pool in the current root, in a test. */
  get #replacement(): object | undefined {
    return this.#scope().root.single(this);
  }

  #known(): ClusterNodes | undefined {
    return this.#scope().root.single(this.#place) as ClusterNodes | undefined;
  }

  #nodes(): ClusterNodes {
    const known = this.#known();
    if (known) return known;
    const { root } = this.#scope();
    const nodes = new ClusterNodes(this.#config, root, () => void this.#opened.delete(nodes));
    root.addSingle(this.#place, nodes);
    this.#opened.add(nodes);
    return nodes;
  }

  #scope(): Scope {
    const scope = currentFrame()?.scope as Scope | undefined;
    if (!scope) throw new NoScopeError(`pool "${this.name}"`);
    return scope;
  }

  #limitsIn(root: Scope): { readonly acquireTimeoutMs: number; readonly max: number } {
    const { max, acquireTimeoutMs } = rulesOf(this.settings);
    const limit = root.limits[this.name];
    const said = typeof limit === 'number' ? { max: limit } : limit;
    return { max: said?.max ?? max, acquireTimeoutMs: said?.acquireTimeoutMs ?? acquireTimeoutMs };
  }

  /** @throws InvalidOptionError */
  #slotOf(key: unknown): number {
    const expected = KEY_CHECK(key);
    if (expected !== undefined)
      throw new InvalidOptionError({ where: `pool "${this.name}": acquire`, option: 'key', expected, actual: key });
    return slotOf('get', [key], this.#options.keyPrefix) as number;
  }

  #slotsOf(entries: readonly Entry[]): readonly number[] {
    const slots = entries.map(({ name, args }) => this.#slotOfCommand(name, args));
    return [...new Set(slots.filter((slot) => slot !== undefined))];
  }

  #slotOfCommand(name: string, args: readonly unknown[]): number | undefined {
    const { scripts = {}, keyPrefix } = this.#options;
    if (!Object.hasOwn(scripts, name)) return slotOf(name, args, keyPrefix);
    const count = scripts[name]?.numberOfKeys;
    // As ioredis sends it: without a number of keys in the definition, the first argument says how many they are.
    return slotOf('evalsha', ['sha', ...(typeof count === 'number' ? [count] : []), ...args], keyPrefix);
  }

  #refusedScan(what: string): CommandRefusedError {
    return new CommandRefusedError(this.name, what, SCAN_ADVICE, 'would see the keys of one node');
  }
}
