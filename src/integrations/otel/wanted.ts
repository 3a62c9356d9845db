/** Goes on as long as somebody wants it, once, however many do. */
export class Wanted {
  readonly #begin: () => () => void;
  #end: (() => void) | undefined;
  #count = 0;

  /** @param begin Begins it; gives what ends it. */
  constructor(begin: () => () => void) {
    this.#begin = begin;
  }

  /** @returns what says that it is no longer wanted; later calls do nothing. */
  want(): () => void {
    this.#end ??= this.#begin();
    this.#count++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--this.#count > 0) return;
      this.#end?.();
      this.#end = undefined;
    };
  }
}
