import type { EventEmitter } from 'node:events';

export type Listener = (...args: unknown[]) => void;

/** The methods that add a listener, each with how it does so. */
export const ADDING = {
  on: { once: false, first: false },
  addListener: { once: false, first: false },
  prependListener: { once: false, first: true },
  once: { once: true, first: false },
  prependOnceListener: { once: true, first: true },
} as const;

interface Heard {
  readonly event: string | symbol;
  readonly listener: Listener;
  /** What the emitter has: one function per listening, so that nobody removes that of another. */
  readonly hear: Listener;
}

/** What one holder listens to on a connection: his alone to remove, and gone with his lease. */
export class Listeners {
  readonly #emitter: EventEmitter;
  readonly #heard = new Set<Heard>();

  constructor(emitter: EventEmitter) {
    this.#emitter = emitter;
  }

  /** @param holder What the listener is called on. */
  add(holder: object, method: keyof typeof ADDING, event: string | symbol, listener: Listener): void {
    const { once, first } = ADDING[method];
    const hear = (...args: unknown[]): void => {
      if (once) this.#forget(heard);
      listener.apply(holder, args);
    };
    const heard: Heard = { event, listener, hear };
    // By this name an emitter knows what a function stands for, and shows it in listeners().
    Object.assign(hear, { listener });
    // What is no function is for the emitter to complain of.
    this.#emitter[first ? 'prependListener' : 'on'](event, typeof listener === 'function' ? hear : listener);
    this.#heard.add(heard);
  }

  /** Removes the one that was added last, as emitters do; one that is not the holder's stays. */
  remove(event: string | symbol, listener: Listener): void {
    const isIt = (heard: Heard) => heard.event === event && (heard.listener === listener || heard.hear === listener);
    const last = [...this.#heard].findLast(isIt);
    if (last) this.#forget(last);
  }

  /** @param event Without it, all of the holder's. */
  removeAll(event?: string | symbol): void {
    for (const heard of this.#heard) if (event === undefined || heard.event === event) this.#forget(heard);
  }

  #forget(heard: Heard): void {
    this.#heard.delete(heard);
    this.#emitter.off(heard.event, heard.hear);
  }
}
