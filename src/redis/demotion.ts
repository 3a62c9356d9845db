import { now } from '../clock.ts';

/** How long a server that refuses to write is taken at its word, in milliseconds. */
const SETTLES_MS = 1_000;

/**
 * Says when to replace a connection whose server takes no writes: it was a master when we connected, and where the
 * master is now a new connection will find. One that was made since, and meets a replica again, is kept for a while: a
 * pool whose address leads to a replica would otherwise connect anew for every write.
 */
export class Demotion {
  #seenAt = Number.NEGATIVE_INFINITY;

  /** @param connectedAt When the connection was made that was refused. */
  isNews(connectedAt: number): boolean {
    const time = now();
    if (connectedAt > this.#seenAt && time - this.#seenAt < SETTLES_MS) return false;
    this.#seenAt = time;
    return true;
  }
}
