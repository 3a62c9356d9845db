import type { Redis } from '../../redis/ioredis.ts';

/** What a node of a cluster says of a channel that another node owns. */
const MOVED = /^MOVED /;

export function isMoved(error: Error): boolean {
  return MOVED.test(error.message);
}

/** The sharded channels of one connection. In a cluster they are subscribed to at the node that owns their slot. */
export class Sharding {
  /** Whether the server has unsubscribed from channels by itself: their slot is another node's. */
  isLost = false;
  readonly #connection: Redis;
  readonly #onLost: (channel: string) => void;
  /** Of those that are not known to be answered, in the order in which they are. */
  #refusals: ((error: Error) => void)[] = [];

  constructor(connection: Redis, onLost: (channel: string) => void) {
    this.#connection = connection;
    this.#onLost = onLost;
    connection.on('moved', () => this.#onMoved());
  }

  /** @throws what the server says. */
  subscribe(channel: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#refusals.push(reject);
      const leave = () => {
        this.#refusals = this.#refusals.filter((other) => other !== reject);
      };
      this.#connection.ssubscribe(channel).finally(leave).then(resolve, reject);
    });
  }

  /** To be called before ioredis looks for the command that this answers. */
  onUnsubscribed(channel: string): void {
    const asked = this.#connection.commandQueue.peekFront()?.command;
    if (this.isLost || (asked?.name === 'sunsubscribe' && `${asked.args[0]}` === channel)) return;
    this.isLost = true;
    this.#onLost(channel);
  }

  /** Of a channel that another node owns ioredis 5 tells so, and not whose answer it was: that one it lets wait for ever. */
  #onMoved(): void {
    const waiting = this.#connection.commandQueue.toArray().filter(({ command }) => command.name === 'ssubscribe');
    this.#refusals.at(-waiting.length - 1)?.(new Error('MOVED to another node'));
  }
}
