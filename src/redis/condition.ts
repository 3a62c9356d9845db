import { classify } from './classify.ts';
import type { Redis } from './ioredis.ts';

/**
 * What the commands sent so far have left on a connection. A connection on which something is left is not lent again:
 * it would answer the next user's commands otherwise than he expects.
 */
export class ConnectionCondition {
  readonly #connection: Redis;
  /** The database that was chosen last; nothing while it is the one of the pool. */
  #database: number | undefined;
  #transaction = false;
  #watching = false;
  #tainted = false;

  constructor(connection: Redis) {
    this.#connection = connection;
  }

  /** Whether the connection is as it was when it was made, with no reply outstanding. */
  get isClean(): boolean {
    const left = this.#transaction || this.#watching || this.#tainted || this.#database !== undefined;
    return !left && this.#connection.commandQueue.length === 0;
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
      case 'select':
        this.#select(Number(args.flat()[0]));
        return;
      // Waiting for replicas leaves nothing.
      case 'wait':
      case 'waitaof':
        return;
      default:
        this.#tainted = true;
    }
  }

  #select(database: number): void {
    this.#database = database === (this.#connection.options.db ?? 0) ? undefined : database;
  }
}
