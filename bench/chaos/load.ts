import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../dev/random.ts';
import { type Scope, withScope } from '../../src/index.ts';
import type { RedisPool } from '../../src/redis/index.ts';
import { type Account, QUEUE } from './account.ts';

/** Commands are sent so often, in milliseconds, and so many at a time: 500 per second. */
const TICK_MS = 10;
const PER_TICK = 5;

/** Keys that never change, so that a reply to another command shows: `GET fixed:3` is 3. */
export const FIXED = 10;

/** Sends commands of all kinds, and has what is said of them written down. */
export class Load {
  readonly #pool: RedisPool;
  readonly #account: Account;
  readonly #random: Random;
  #sent = 0;

  constructor(pool: RedisPool, account: Account, random: Random) {
    this.#pool = pool;
    this.#account = account;
    this.#random = random;
  }

  /** Sends until the signal, each time from another scope; it does not wait for replies. */
  async run(scopes: readonly Scope[], signal: AbortSignal): Promise<void> {
    const begun = performance.now();
    while (!signal.aborted) {
      const due = ((performance.now() - begun) / TICK_MS) * PER_TICK;
      while (this.#sent < due) this.#send(scopes);
      await sleep(TICK_MS);
    }
  }

  /** As a server does: one scope per request, below the one that owns the connections. */
  #send(scopes: readonly Scope[]): void {
    this.#sent++;
    const action = this.#random.pick(ACTIONS);
    const parent = this.#random.pick(scopes);
    withScope(() => this[action](), { parent, name: action }).catch((error: unknown) => this.#account.unexplained.push(error));
  }

  get #id(): string {
    return `${this.#sent}:${this.#random.between(0, 1e9)}`;
  }

  incr(): Promise<void> {
    const key = `counter:${this.#random.between(0, 9)}`;
    return this.#account.enter({ kind: 'count', key }, this.#pool.incr(key));
  }

  push(): Promise<void> {
    const id = this.#id;
    const key = `list:${this.#random.between(0, 9)}`;
    return this.#account.enter({ kind: 'push', key, id }, this.#pool.rpush(key, id));
  }

  get(): Promise<void> {
    const value = this.#random.between(0, FIXED - 1);
    return this.#account.enter({ kind: 'none' }, this.#pool.get(`fixed:${value}`), (reply) => reply === `${value}`);
  }

  set(): Promise<void> {
    const key = `key:${this.#id}`;
    return this.#account.enter({ kind: 'put', key }, this.#pool.idempotent.set(key, 1), (reply) => reply === 'OK');
  }

  batch(): Promise<void> {
    const id = this.#id;
    const sent = this.#pool.multi().rpush('batches', id).get('fixed:1').exec();
    return this.#account.enter({ kind: 'push', key: 'batches', id }, sent, (replies) => replies?.[1]?.[1] === '1');
  }

  enqueue(): Promise<void> {
    const id = this.#id;
    return this.#account.enter({ kind: 'push', key: QUEUE, id }, this.#pool.rpush(QUEUE, id));
  }

  dequeue(): Promise<void> {
    return this.#account.enter({ kind: 'pop' }, this.#pool.blpop(QUEUE, 0.1));
  }

  /** Several commands on one connection, the last of them in a transaction. */
  use(): Promise<void> {
    const id = this.#id;
    const block = this.#pool.use(async (connection) => {
      await this.#account.enter({ kind: 'push', key: 'blocks', id }, connection.rpush('blocks', id));
      await connection.watch('fixed:0');
      const sent = connection.multi().rpush('blocks', `${id}:2`).exec();
      await this.#account.enter({ kind: 'push', key: 'blocks', id: `${id}:2` }, sent);
    });
    return this.#account.enter({ kind: 'none' }, block);
  }

  /** Leaves something behind: whoever has the connection next must not notice. */
  leave(): Promise<void> {
    const block = this.#pool.use((connection) => {
      connection.blpop('never', 0).catch(() => {});
    });
    return this.#account.enter({ kind: 'none' }, block);
  }
}

type Action = 'incr' | 'push' | 'get' | 'set' | 'batch' | 'enqueue' | 'dequeue' | 'use' | 'leave';

/** How often each is of a hundred. */
const SHARES: Readonly<Record<Action, number>> = {
  incr: 28,
  push: 22,
  get: 20,
  set: 10,
  use: 6,
  batch: 5,
  enqueue: 4,
  dequeue: 4,
  leave: 1,
};

const ACTIONS = Object.entries(SHARES).flatMap(([action, share]) => Array.from({ length: share }, () => action as Action));
