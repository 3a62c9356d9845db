import { type Lease, type Pool, withScope } from '../../src/index.ts';
import { type Connection, Server, turns } from './support.ts';

/** What a user of the crowd does next. */
export const ACTIONS = [
  'use',
  'use',
  'use',
  'share',
  'share',
  'share',
  'share',
  'use high',
  'use low',
  'share high',
  'share low',
  'acquire',
  'acquireShared',
  'abort',
  'destroy',
  'destroy shared',
  'die',
  'leak',
  'leak shared',
  'nested use',
  'nested share',
  'share in share',
  'release twice',
  'cancelled scope',
  'throw',
  'refresh',
  'resize',
] as const;

export interface Action {
  readonly what: (typeof ACTIONS)[number];
  /** How many turns of the event loop it takes. */
  readonly turns: number;
}

const EXPECTED = new Set(['ERR_POOL_DEADLOCK', 'ERR_ACQUIRE_ABORTED', 'ERR_SCOPE_CANCELLED', 'ERR_OF_THE_JOB']);

/** Users of one pool who do whatever they like, and see whether the pool keeps its promises. */
export class Crowd {
  readonly server = new Server();
  readonly broken: string[] = [];
  served = 0;
  readonly #max: number;
  readonly #maxSharers: number;
  /** Who is on a connection: sharers, or one who is alone. */
  readonly #sharers = new Map<Connection, number>();
  readonly #alone = new Set<Connection>();

  constructor(max: number, maxSharers: number) {
    this.#max = max;
    this.#maxSharers = maxSharers;
  }

  /** One user: one action after the other. */
  async user(pool: Pool<Connection>, actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      try {
        await this.#act(pool, action);
      } catch (error) {
        if (!EXPECTED.has((error as { code: string }).code)) this.broken.push(`${action.what}: ${error}`);
      }
      this.claim(this.server.peak <= this.#max, `never more than ${this.#max} open: ${this.server.peak}`);
    }
  }

  claim(holds: boolean, what: string): void {
    if (!holds) this.broken.push(what);
  }

  async #act(pool: Pool<Connection>, { what, turns: count }: Action): Promise<unknown> {
    const alone = (then?: (connection: Connection, lease: Lease<Connection>) => unknown) =>
      pool.use((connection, lease) => this.#alone1(connection, count, () => then?.(connection, lease)));
    const shared = (then?: (connection: Connection, lease: Lease<Connection>) => unknown) =>
      pool.share((connection, lease) => this.#shared1(connection, count, () => then?.(connection, lease)));
    switch (what) {
      case 'use':
        return alone();
      case 'share':
        return shared();
      case 'use high':
        return pool.use((connection) => this.#alone1(connection, count), { priority: 'high' });
      case 'use low':
        return pool.use((connection) => this.#alone1(connection, count), { priority: 'low' });
      case 'share high':
        return pool.share((connection) => this.#shared1(connection, count), { priority: 'high' });
      case 'share low':
        return pool.share((connection) => this.#shared1(connection, count), { priority: 'low' });
      case 'destroy':
        return alone((_, lease) => lease.destroy());
      case 'destroy shared':
        return shared((_, lease) => lease.destroy());
      case 'die':
        return shared((connection) => connection.die());
      case 'throw':
        return alone(() => Promise.reject(Object.assign(new Error('of the job'), { code: 'ERR_OF_THE_JOB' })));
      case 'nested use':
        return alone(() => pool.use((connection) => this.#alone1(connection, count)));
      case 'nested share':
        return alone(() => pool.share((connection) => this.#shared1(connection, count)));
      case 'share in share':
        return shared(() => pool.share((connection) => this.#shared1(connection, count)));
      default:
        return this.#actByHand(pool, what, count);
    }
  }

  async #actByHand(pool: Pool<Connection>, what: Action['what'], count: number): Promise<unknown> {
    if (what === 'acquire' || what === 'release twice') {
      const lease = await pool.acquire();
      await this.#alone1(lease.resource, count);
      lease.release();
      await turns(1);
      if (what === 'release twice') lease.release();
      return;
    }
    if (what === 'acquireShared') {
      const lease = await pool.acquireShared();
      await this.#shared1(lease.resource, count);
      return lease.release();
    }
    if (what === 'leak') return withScope(async () => this.#alone1((await pool.acquire()).resource, count));
    if (what === 'leak shared') return withScope(async () => this.#shared1((await pool.acquireShared()).resource, count));
    // Never above what nobody may exceed.
    if (what === 'resize') return pool.resize(1 + (count % this.#max));
    if (what === 'refresh') return pool.refresh();
    const controller = new AbortController();
    const reason = Object.assign(new Error('no longer wanted'), { code: 'ERR_OF_THE_JOB' });
    void turns(count).then(() => controller.abort(reason));
    if (what === 'abort') return (await pool.acquire({ signal: controller.signal })).release();
    return withScope(() => pool.use((connection) => this.#alone1(connection, count)), { signal: controller.signal });
  }

  async #alone1(connection: Connection, count: number, then?: () => unknown): Promise<unknown> {
    this.served++;
    this.claim(!this.#alone.has(connection) && !this.#sharers.get(connection), 'nobody beside an exclusive holder');
    this.claim(connection.isOpen, 'lends only what is open');
    this.#alone.add(connection);
    await turns(count);
    this.claim(!this.#sharers.get(connection), 'nobody joins an exclusive holder');
    try {
      return await then?.();
    } finally {
      this.#alone.delete(connection);
    }
  }

  async #shared1(connection: Connection, count: number, then?: () => unknown): Promise<unknown> {
    this.served++;
    const sharers = (this.#sharers.get(connection) ?? 0) + 1;
    this.claim(!this.#alone.has(connection), 'no sharer beside an exclusive holder');
    this.claim(sharers <= this.#maxSharers, `never more than ${this.#maxSharers} sharers: ${sharers}`);
    this.claim(connection.isOpen, 'lends only what is open');
    this.#sharers.set(connection, sharers);
    await turns(count);
    this.claim(connection.isOpen, 'no sharer is cut off by another');
    try {
      return await then?.();
    } finally {
      this.#sharers.set(connection, (this.#sharers.get(connection) ?? 0) - 1);
    }
  }
}
