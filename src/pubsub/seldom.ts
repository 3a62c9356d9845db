import { afterIdly, cancel, type Timer } from '../clock.ts';

/** How often somebody is told at the most, in milliseconds. */
const EVERY_MS = 1_000;

/** Tells of what happens often once in a while: what is counted meanwhile is told together. */
export class Seldom {
  readonly #tell: () => void;
  #timer: Timer | undefined;

  constructor(tell: () => void) {
    this.#tell = tell;
  }

  /** There is something to tell. */
  note(): void {
    this.#timer ??= afterIdly(EVERY_MS, () => this.flush());
  }

  /** Tells now what is to be told. */
  flush(): void {
    if (!this.#timer) return;
    cancel(this.#timer);
    this.#timer = undefined;
    this.#tell();
  }
}
