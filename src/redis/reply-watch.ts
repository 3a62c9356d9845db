import { afterIdly, now } from '../clock.ts';
import { atRoot } from '../context.ts';
import { CommandTimeoutError } from '../errors.ts';
import { blocksForMs } from './classify.ts';
import type { Redis, SentCommand } from './ioredis.ts';

/**
 * The deadline of commands. Replies come in the order of the commands, so it is enough to watch the oldest: one timer
 * per connection, nothing per command. When it is late the connection is cut, and everything on it says so.
 */
export class ReplyWatch {
  readonly #pool: string;
  readonly #connection: Redis;
  readonly #timeoutMs: number;
  #oldest: SentCommand | undefined;
  #since = 0;
  #armed = false;

  constructor(pool: string, connection: Redis, timeoutMs: number) {
    this.#pool = pool;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  onSend(): void {
    if (this.#armed || this.#timeoutMs === Number.POSITIVE_INFINITY) return;
    this.#armed = true;
    atRoot(() => this.#plan());
  }

  #plan(): void {
    afterIdly(Math.max(this.#timeoutMs / 4, 5), () => this.#tick());
  }

  #tick(): void {
    const oldest = this.#connection.commandQueue.peekFront()?.command as SentCommand | undefined;
    if (!oldest) {
      this.#oldest = undefined;
      this.#armed = false;
      return;
    }
    if (oldest !== this.#oldest) {
      this.#oldest = oldest;
      this.#since = now();
    } else if (now() - this.#since >= this.#timeoutMs + blocksForMs(oldest.name, oldest.args)) {
      return this.#expire(oldest);
    }
    this.#plan();
  }

  #expire(late: SentCommand): void {
    const error = new CommandTimeoutError(this.#pool, late.name, now() - this.#since);
    for (const { command } of this.#connection.commandQueue.toArray()) (command as unknown as SentCommand).reject(error);
    this.#connection.disconnect();
    this.#connection.stream.destroy();
  }
}
