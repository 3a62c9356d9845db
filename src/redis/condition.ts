import { classify } from './classify.ts';
import type { Redis } from './ioredis.ts';

/**
 * What the commands sent so far have left on a connection. A connection on which something is left is not lent again:
 * it would answer the next user's commands otherwise than he expects.
 */
export class ConnectionCondition {
  readonly #connection: Redis;
  readonly #database: number | undefined;
  #transaction = false;
  #watching = false;
  #tainted = false;

  constructor(connection: Redis) {
    this.#connection = connection;
    this.#database = connection.condition?.select;
  }

  /** Whether the connection is as it was when it was made, with no reply outstanding. */
  get isClean(): boolean {
    const { commandQueue, condition } = this.#connection;
    const left = this.#transaction || this.#watching || this.#tainted || condition?.select !== this.#database;
    return !left && commandQueue.length === 0;
  }

  onSend(command: string, args: readonly unknown[]): void {
    if (classify(command, args) !== 'refused') return;
    switch (command.toLowerCase()) {
      case 'multi':
        this.#transaction = true;
        return;
      case 'watch':
        this.#watching = true;
        return;
      case 'unwatch':
        this.#watching = false;
        return;
      case 'exec':
      case 'discard':
        this.#transaction = this.#watching = false;
        return;
      // Seen in the condition that ioredis keeps; waiting for replicas leaves nothing.
      case 'select':
      case 'wait':
      case 'waitaof':
        return;
      default:
        this.#tainted = true;
    }
  }
}
