import { afterIdly, cancel, now, type Timer } from '../../clock.ts';
import { atRoot, currentFrame, type Frame } from '../../context.ts';
import { CommandRefusedError, PoolClosedError } from '../../errors.ts';
import type { Lease, LeaseKind } from '../../pool/lease.ts';
import type { AcquireOptions, PoolSettings } from '../../pool/options.ts';
import { quotaTimeoutIn } from '../../pool/quota.ts';
import type { Scope } from '../../scope/index.ts';
import { Demotion } from '../demotion.ts';
import type { Redis } from '../ioredis.ts';
import { anyOf, firstAnswer, inAnyOrder } from './first-answer.ts';
import { goOn, Locating, reportedOnce } from './locating.ts';
import { NodePool } from './node-pool.ts';
import { hearFailures, redirectionOf } from './redirection.ts';
import { type Address, rangesOf, type SlotRange, SlotTable } from './slots.ts';

/** Nodes are not asked more often than that, in milliseconds. */
const SPACING_MS = 100;
/** After so long without a connection to a node the others are asked about it, and again, in milliseconds. */
const IMPATIENCE_MS = 500;

/** What the nodes of a cluster have in common. */
export interface ClusterConfig {
  readonly name: string;
  /** Nodes to begin with. */
  readonly seeds: readonly Address[];
  /** Where a node is to be reached that the cluster knows by this address. */
  reach(address: Address): Address;
  /** How connections to a node are made; the newest, where the pool is defined again. @param demotion What is known of that node. */
  settingsOf(address: Address, demotion: Demotion): PoolSettings<Redis>;
  /** How long an acquire waits in that root, in milliseconds, and how many connections a node may have. */
  limitsIn(root: Scope): { readonly acquireTimeoutMs: number; readonly max: number };
}

/** What is to be lent. */
export interface Request {
  /** Of the keys, each once; none for what any node can do. */
  readonly slots: readonly number[];
  /** The node, where a node has said so. */
  readonly node?: Address | undefined;
  readonly exclusive: boolean;
  readonly kind: LeaseKind;
  readonly options?: AcquireOptions | undefined;
}

/** The nodes of a cluster, as one root scope knows them, each with its pool. */
export class ClusterNodes {
  readonly root: Scope;
  readonly #config: ClusterConfig;
  readonly #table = new SlotTable();
  readonly #pools = new Map<Address, NodePool>();
  #max: number | undefined;
  #asking: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isPlanned = false;
  #isClosed = false;
  #lastError: unknown;
  readonly #onClosed: () => void;

  constructor(config: ClusterConfig, root: Scope, onClosed: () => void) {
    this.root = root;
    this.#config = config;
    this.#onClosed = onClosed;
  }

  get pools(): ReadonlyMap<Address, NodePool> {
    return this.#pools;
  }

  /** Its root closes; the pools of the nodes, which are newer, are closed. */
  close(): void {
    this.#isClosed = true;
    this.#onClosed();
  }

  /** @throws CommandRefusedError when the slots are not all of one node. */
  lend(request: Request): Lease<Redis> | Promise<Lease<Redis>> {
    if (this.#isClosed) throw new PoolClosedError(this.#config.name, this.root.name);
    const node = request.node ?? this.#nodeOf(request.slots);
    if (node === undefined) return this.#locate(request);
    const frame = currentFrame() as Frame;
    const pool = this.#pool(node);
    const begun = pool.lend(request.exclusive, request.kind, request.options);
    if (!(begun instanceof Promise)) return begun;
    const followed = begun.catch((error: unknown) => {
      // The node has left the cluster while it was waited for: its slots are another's.
      if (error instanceof PoolClosedError && !this.#isClosed && this.#pools.get(node) !== pool)
        return goOn(frame, () => this.lend(request));
      throw error;
    });
    return reportedOnce(followed);
  }

  /** The pool of the node of the slot, when it is known. */
  poolOf(slot: number): NodePool | undefined {
    const owner = this.#table.ownerOf(slot);
    return owner === undefined ? undefined : this.#pools.get(owner);
  }

  resize(max: number): void {
    this.#max = max;
    for (const pool of this.#pools.values()) pool.resize(max);
  }

  /** Asks the cluster who owns what; callers share the question. */
  ask(): Promise<void> {
    // Of the root, not of the scope that asks first: the others wait for the answer, too.
    this.#asking ??= atRoot(() => this.root.enter(() => this.#ask())).finally(() => {
      this.#asking = undefined;
      this.#askedAt = now();
    });
    return this.#asking;
  }

  /** Refuses what comes and what waits. */
  stop(): void {
    this.#isClosed = true;
  }

  /** @param slots One after the other of one node, or one that is anybody's. */
  #nodeOf([slot, ...others]: readonly number[]): Address | undefined {
    const table = this.#table;
    if (!table.isKnown) return undefined;
    const owner = slot === undefined ? undefined : table.ownerOf(slot);
    if (others.some((other) => table.ownerOf(other) !== owner)) {
      const advice = 'Give keys that belong together one {tag} in braces, or send one batch for each';
      throw new CommandRefusedError(this.#config.name, 'a batch of commands', advice, 'has keys of several nodes');
    }
    // Nobody has the slot: any node says so.
    return owner ?? anyOf(table.nodes) ?? this.#config.seeds[0];
  }

  #locate(request: Request): Promise<Lease<Redis>> {
    const { exclusive, kind, options } = request;
    const { name: pool } = this.#config;
    const { acquireTimeoutMs, max } = this.#config.limitsIn(this.root);
    const scope = currentFrame()?.scope as Scope;
    const wanted = {
      pool,
      scope,
      kind,
      exclusive,
      max,
      timeoutMs: options?.acquireTimeoutMs ?? quotaTimeoutIn(scope, pool) ?? acquireTimeoutMs,
      signal: options?.signal,
    };
    const lastError = () => this.#lastError;
    return new Locating(wanted, this.ask(), lastError, () => this.lend(request)).promise;
  }

  #pool(address: Address): NodePool {
    const known = this.#pools.get(address);
    if (known) return known;
    const demotion = new Demotion();
    const settings = this.#config.settingsOf(address, demotion);
    const create: typeof settings.create = async (context) => {
      const timer = atRoot(() => this.#askRepeatedly());
      try {
        const connection = await this.#config.settingsOf(address, demotion).create(context);
        hearFailures(connection, address, (error) => this.#onFailure(error));
        return connection;
      } catch (error) {
        this.#lastError = error;
        this.#askSoon();
        throw error;
      } finally {
        cancel(timer);
      }
    };
    const pool = new NodePool(this.#config.name, { ...settings, create });
    this.#pools.set(address, pool);
    if (this.#max !== undefined) pool.resize(this.#max);
    return pool;
  }

  #onFailure(error: unknown): void {
    const redirection = redirectionOf(error);
    if (redirection?.kind === 'ask') return;
    const owner = redirection && this.#config.reach(redirection.to);
    // It was sent to the wrong node, though the right one was known.
    if (redirection && this.#table.ownerOf(redirection.slot) === owner) return;
    if (redirection && owner) this.#table.move(redirection.slot, owner);
    this.#askSoon();
  }

  /** A node that hangs fails late; another may have taken over long before. */
  #askRepeatedly(): Timer {
    const timer = afterIdly(IMPATIENCE_MS, () => {
      this.#askSoon();
      timer.refresh();
    });
    return timer;
  }

  /** Something is not as it was known to be. */
  #askSoon(): void {
    if (this.#isPlanned || this.#isClosed) return;
    this.#isPlanned = true;
    const ms = this.#askedAt + SPACING_MS - now();
    atRoot(() =>
      afterIdly(ms, () => {
        this.#isPlanned = false;
        // What fails is known already, and is asked again when it fails again.
        if (!this.#isClosed) this.ask().catch(() => {});
      }),
    );
  }

  async #ask(): Promise<void> {
    const done = new AbortController();
    try {
      const nodes = new Set([...inAnyOrder(this.#table.nodes), ...this.#config.seeds]);
      this.#adopt((await firstAnswer([...nodes], (node) => this.#rangesOf(node, done.signal))) ?? []);
    } finally {
      done.abort();
    }
  }

  /** Nothing of one that knows of no owner: it has left the cluster, or not joined it yet. */
  async #rangesOf(node: Address, signal: AbortSignal): Promise<readonly SlotRange[] | undefined> {
    const lease = await this.#pool(node).lend(false, 'blocking', { signal });
    try {
      const ranges = rangesOf(await lease.resource.cluster('SLOTS'), node);
      return ranges.length > 0 ? ranges.map((range) => ({ ...range, owner: this.#config.reach(range.owner) })) : undefined;
    } finally {
      lease.release();
    }
  }

  /** Nodes without slots have left; whoever holds a connection to them may keep it until he is done. */
  #adopt(ranges: readonly SlotRange[]): void {
    this.#table.adopt(ranges);
    const { nodes } = this.#table;
    for (const [address, pool] of this.#pools) {
      if (nodes.includes(address)) continue;
      this.#pools.delete(address);
      void pool.drain(this.root);
    }
  }
}
