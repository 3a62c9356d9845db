import { nextTurn } from '../../clock.ts';

/** After so many items others have their turn: a source that never waits would leave them none. */
const TURN = 500;

/** Where items come from. */
export type Source<T> = AsyncIterable<T> | Iterable<T>;

/** Who takes them. */
export interface Taker<T> {
  /** Resolves when it takes one more. */
  room(): Promise<void> | undefined;
  /** @throws what ends the source. */
  take(item: T): void;
}

/** Takes what a source yields, until that ends, or is ended. */
export class Intake<T> {
  readonly #source: Source<T>;
  readonly #taker: Taker<T>;
  #iterator: AsyncIterator<T> | undefined;
  #ending: Promise<unknown> | undefined;
  #isAsking = false;

  constructor(source: Source<T>, taker: Taker<T>) {
    this.#source = source;
    this.#taker = taker;
  }

  /** Resolves when the source has ended. @throws what it throws, or its taker. */
  async run(): Promise<void> {
    this.#iterator = Symbol.asyncIterator in this.#source ? this.#source[Symbol.asyncIterator]() : asAsync(this.#source);
    for (let count = 1; ; count++) {
      const room = this.#taker.room();
      if (room) await room;
      if (this.#ending) return void (await this.#ending);
      this.#isAsking = true;
      const { done, value } = await this.#iterator.next();
      this.#isAsking = false;
      if (done) return;
      this.#take(value);
      if (count % TURN === 0) await nextTurn();
    }
  }

  /**
   * Asks the source to end; what it was asked for before may still come.
   *
   * @returns resolves when that has come, if it is known. @throws what the source throws.
   */
  end(): Promise<unknown> {
    const iterator = this.#iterator;
    this.#ending ??= (async () => iterator?.return?.())();
    // Whoever runs it hears of it, if it is not given up.
    this.#ending.catch(() => {});
    return iterator && !iterator.return ? new Promise(() => {}) : this.#ending;
  }

  /** Waits for it no more. A stream that is being read hears only now that it is to end. */
  leave(): void {
    void this.end();
    const { destroy } = this.#source as { readonly destroy?: unknown };
    if (this.#isAsking && typeof destroy === 'function') destroy.call(this.#source);
  }

  #take(item: T): void {
    try {
      this.#taker.take(item);
    } catch (error) {
      void this.end();
      throw error;
    }
  }
}

async function* asAsync<T>(source: Iterable<T>): AsyncGenerator<T> {
  yield* source;
}
