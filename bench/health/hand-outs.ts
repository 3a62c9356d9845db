import type { Redis } from 'ioredis';

/** A connection that the server has closed, by the port of our end, and when it had, in nanoseconds of the clock that all processes share. */
export interface Kill {
  readonly port: number;
  readonly at: number;
}

/** Somebody was given a connection. */
interface HandOut extends Kill {
  /** Replies were outstanding on it: others were there already. */
  readonly joined: boolean;
  /** A reply was read from it in this very turn of the event loop. */
  readonly fresh: boolean;
}

/** How many hand-outs there were, and how many of a connection that was dead. */
export interface Tally {
  readonly first: number;
  readonly firstDead: number;
  readonly joined: number;
  readonly joinedDead: number;
  /** Of both, those from which a reply was read in the very turn in which they were lent. */
  readonly fresh: number;
  readonly freshDead: number;
}

/** A socket that is closed has no port any more. */
const CLOSED = -1;

/** Writes down who was given which connection when. */
export class HandOuts {
  readonly #all: HandOut[] = [];
  readonly #fresh = new Set<unknown>();

  /** To be called by whoever is given the connection, before all else. */
  note({ stream, commandQueue }: Pick<Redis, 'stream' | 'commandQueue'>): void {
    const at = Number(process.hrtime.bigint());
    const port = (stream as { readonly localPort?: number } | undefined)?.localPort ?? CLOSED;
    this.#all.push({ port, at, joined: commandQueue.length > 0, fresh: this.#fresh.has(stream) });
  }

  /** To be called when a reply was read. */
  onReply({ stream }: Pick<Redis, 'stream'>): void {
    if (this.#fresh.has(stream)) return;
    this.#fresh.add(stream);
    setImmediate(() => this.#fresh.delete(stream));
  }

  tally(kills: readonly Kill[]): Tally {
    const killedAt = new Map(kills.map(({ port, at }) => [port, at]));
    const isDead = ({ port, at }: HandOut) => port === CLOSED || (killedAt.get(port) ?? Number.POSITIVE_INFINITY) < at;
    const first = this.#all.filter(({ joined }) => !joined);
    const joined = this.#all.filter((handOut) => handOut.joined);
    const fresh = this.#all.filter((handOut) => handOut.fresh);
    const dead = (handOuts: readonly HandOut[]) => handOuts.filter(isDead).length;
    return {
      first: first.length,
      firstDead: dead(first),
      joined: joined.length,
      joinedDead: dead(joined),
      fresh: fresh.length,
      freshDead: dead(fresh),
    };
  }
}
