import type { Redis } from 'ioredis';
import type { RedisPool } from 'scoped-pool/redis';

/** What the caller was told: done, not executed (with the reason), or that nobody knows. */
type Told = 'pending' | 'done' | 'not-sent' | 'rejected' | 'no lease' | 'unavailable' | 'unknown';

interface Sent {
  readonly id: string;
  readonly kind: 'read' | 'push' | 'set';
  told: Told;
}

/** What an error says that comes before a command is sent. */
const UNSENT: Readonly<Record<string, Told>> = { ERR_POOL_ACQUIRE_TIMEOUT: 'no lease', ERR_POOL_UNAVAILABLE: 'unavailable' };

/** Commands of all kinds, each with an id of its own, and what was said of them. */
export class Traffic {
  /** Errors that do not say what became of the command, and replies that are another command's. */
  readonly strange: unknown[] = [];
  readonly #pool: RedisPool;
  readonly #sent: Sent[] = [];

  constructor(pool: RedisPool) {
    this.#pool = pool;
  }

  count(told: Told, kind?: Sent['kind']): number {
    return this.#sent.filter((sent) => sent.told === told && (kind === undefined || sent.kind === kind)).length;
  }

  /** Of each kind so many; waits for none. The key `read` holds `x`. */
  send(count: number): void {
    for (let n = 0; n < count; n++) {
      const id = `${this.#sent.length}`;
      this.#enter({ id, kind: 'read', told: 'pending' }, this.#pool.get('read'), 'x');
      this.#enter({ id: `${id}:plain`, kind: 'push', told: 'pending' }, this.#pool.rpush('list', `${id}:plain`));
      this.#enter({ id: `${id}:set`, kind: 'set', told: 'pending' }, this.#pool.idempotent.set(`${id}:set`, 1), 'OK');
      const used = this.#pool.use((connection) => connection.rpush('list', `${id}:use`));
      this.#enter({ id: `${id}:use`, kind: 'push', told: 'pending' }, used);
      const moved = this.#pool.multi().rpush('list', `${id}:multi`).exec();
      this.#enter({ id: `${id}:multi`, kind: 'push', told: 'pending' }, moved);
    }
  }

  /** What was executed twice, was called done and is not there, or was called not executed and is there. */
  async lies(redis: Redis): Promise<readonly string[]> {
    const found = await redis.lrange('list', 0, -1);
    const twice = found.filter((id, place) => found.indexOf(id) !== place).map((id) => `${id} twice`);
    const wrong: string[] = [];
    for (const { id, kind, told } of this.#sent) {
      if (kind === 'read' || told === 'unknown') continue;
      const isThere = kind === 'push' ? found.includes(id) : (await redis.exists(id)) === 1;
      if (isThere !== (told === 'done')) wrong.push(`${id} ${told}, and ${isThere ? '' : 'not '}there`);
    }
    return [...twice, ...wrong];
  }

  async #enter(sent: Sent, reply: Promise<unknown>, expected?: string): Promise<void> {
    this.#sent.push(sent);
    try {
      const value = await reply;
      sent.told = 'done';
      if (expected !== undefined && value !== expected) this.strange.push(value);
    } catch (error) {
      sent.told = this.#toldBy(error);
    }
  }

  #toldBy(error: unknown): Told {
    const { outcome, code = '', message } = error as { readonly outcome?: Told; readonly code?: string; readonly message: string };
    const told = outcome ?? UNSENT[code];
    if (told !== undefined) return told;
    // A transaction is refused as a whole.
    if (message.startsWith('EXECABORT')) return 'rejected';
    this.strange.push(error);
    return 'unknown';
  }
}
