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
}

/** How many hand-outs there were, and how many of a connection that was dead. */
export interface Tally {
  readonly first: number;
  readonly firstDead: number;
  readonly joined: number;
  readonly joinedDead: number;
}

/** A socket that is closed has no port any more. */
const CLOSED = -1;

/** Writes down who was given which connection when. */
export class HandOuts {
  readonly #all: HandOut[] = [];

  /** To be called by whoever is given the connection, before all else. */
  note({ stream, commandQueue }: Pick<Redis, 'stream' | 'commandQueue'>): void {
    const at = Number(process.hrtime.bigint());
    const port = (stream as { readonly localPort?: number } | undefined)?.localPort ?? CLOSED;
    this.#all.push({ port, at, joined: commandQueue.length > 0 });
  }

  tally(kills: readonly Kill[]): Tally {
    const killedAt = new Map(kills.map(({ port, at }) => [port, at]));
    const isDead = ({ port, at }: HandOut) => port === CLOSED || (killedAt.get(port) ?? Number.POSITIVE_INFINITY) < at;
    const joined = this.#all.filter((handOut) => handOut.joined);
    const dead = this.#all.filter(isDead).length;
    const joinedDead = joined.filter(isDead).length;
    return { first: this.#all.length - joined.length, firstDead: dead - joinedDead, joined: joined.length, joinedDead };
  }
}
