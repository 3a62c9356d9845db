import { InvalidOptionError } from '../errors.ts';

/** Something that is lent for as long as its holder likes, or until its scope has ended. */
export interface Held<R> {
  readonly resource: R;
  readonly ended: boolean;
  release(): void;
  destroy(): void;
}

/** Who lends: a pool. */
export interface Lender<R> {
  readonly name: string;
  acquire(): Promise<Held<R>>;
}

/** How the code of a scope has ended: surely, as far as anybody knows, or not at all. */
export type Ending = 'settled' | 'unknown' | 'cut';

/** A lease of a pool, for the parts of the library. */
interface Keepable<R> extends Held<R> {
  /** Whether it has ended, or its connection. */
  readonly isBroken: boolean;
  /** From now on its scope ends it, last of all that it does. */
  keep(): void;
}

/** The leases that a scope keeps until it ends, one of each pool. */
export class KeptLeases {
  readonly #leases = new Map<object, Promise<Keepable<unknown>>>();

  /** The lease of that pool: taken by the first call, and anew when its connection has broken. @throws what `acquire` throws. */
  async of<R>(pool: Lender<R>, acquire: () => Promise<Held<R>>): Promise<Held<R>> {
    for (let known = this.#leases.get(pool); known; known = this.#leases.get(pool)) {
      const lease = await known;
      if (!lease.isBroken) return lease as Held<R>;
      // Or it would keep the place of the next one.
      lease.release();
      this.#forget(pool, known);
    }
    const taking = acquire().then((lease) => {
      const kept = lease as Keepable<R>;
      if (typeof kept.keep === 'function') kept.keep();
      else {
        lease.release();
        throw wrong(pool);
      }
      return kept;
    });
    this.#leases.set(pool, taking);
    taking.catch(() => this.#forget(pool, taking));
    return taking;
  }

  /** Whoever asked before may have forgotten it, too. */
  #forget(pool: object, lease: Promise<unknown>): void {
    if (this.#leases.get(pool) === lease) this.#leases.delete(pool);
  }
}

/** @throws InvalidOptionError */
export function checkLender(pool: unknown): void {
  const { name, acquire } = (pool ?? {}) as Partial<Lender<unknown>>;
  if (typeof name !== 'string' || typeof acquire !== 'function') throw wrong(pool);
}

function wrong(pool: unknown): InvalidOptionError {
  const expected = 'a pool, as definePool() gives it, which lends by itself';
  return new InvalidOptionError({ where: 'scope.lease()', option: 'its pool', expected, actual: pool });
}
