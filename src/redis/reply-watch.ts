import { afterIdly, now } from '../clock.ts';
import { atRoot } from '../context.ts';
import { CommandTimeoutError } from '../errors.ts';
import { blocksForMs } from './classify.ts';
import type { Redis, SentCommand } from './ioredis.ts';

/** A command is looked at so often before it is given up. */
const LOOKS = 4;

/**
 * The deadline of commands. Replies come in the order of the commands, so it is enough to watch the oldest: one timer
 * per connection, nothing per command. When it is late the connection is cut, and everything on it says so.
 */
export class ReplyWatch {
  readonly #pool: string;
  readonly #connection: Redis;
  readonly #timeoutMs: number;
  readonly #stepMs: number;
  #oldest: SentCommand | undefined;
  #since = 0;
  #looks = 0;
  #armed = false;

  constructor(pool: string, connection: Redis, timeoutMs: number) {
    this.#pool = pool;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#stepMs = timeoutMs / LOOKS;
  }

  onSend(): void {
    if (this.#armed || this.#timeoutMs === Number.POSITIVE_INFINITY) return;
    this.#armed = true;
    atRoot(() => this.#plan());
  }

  #plan(): void {
    afterIdly(this.#stepMs, () => this.#look());
  }

  #look(): void {
    const oldest = this.#connection.commandQueue.peekFront()?.command as SentCommand | undefined;
    if (oldest !== this.#oldest) this.#begin(oldest);
    this.#armed = oldest !== undefined;
    if (!oldest) return;
    // Looks are counted, not milliseconds: while the event loop stands still, replies wait unread, and that is no
    // fault of the server. However long it stood, it is one look.
    const waitsMs = this.#looks++ * this.#stepMs;
    if (waitsMs >= this.#timeoutMs + blocksForMs(oldest.name, oldest.args)) this.#expire(oldest);
    else this.#plan();
  }

  #begin(oldest: SentCommand | undefined): void {
    this.#oldest = oldest;
    this.#since = now();
    this.#looks = 0;
  }

  #expire(late: SentCommand): void {
    const ms = now() - this.#since;
    for (const { command } of this.#connection.commandQueue.toArray()) {
      const { name } = command as unknown as SentCommand;
      (command as unknown as SentCommand).reject(new CommandTimeoutError(this.#pool, name, late.name, ms));
    }
    this.#connection.disconnect();
    this.#connection.stream.destroy();
  }
}
