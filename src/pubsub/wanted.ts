/** How a name is subscribed to. */
export type Kind = 'subscribe' | 'psubscribe' | 'ssubscribe';

export const KINDS: readonly Kind[] = ['subscribe', 'psubscribe', 'ssubscribe'];

export const UNDO = { subscribe: 'unsubscribe', psubscribe: 'punsubscribe', ssubscribe: 'sunsubscribe' } as const;

interface Entry {
  /** Acknowledged, or wanted from the beginning: to be refused it is a failure of the whole. */
  isSettled: boolean;
  readonly acknowledged: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

/** The names that a subscriber is to be subscribed to. */
export class Wanted {
  readonly #entries: Readonly<Record<Kind, Map<string, Entry>>> = { subscribe: new Map(), psubscribe: new Map(), ssubscribe: new Map() };

  /** Whether a name was ever taken out. */
  #hasShrunk = false;

  /** What has to be there from the beginning. */
  constructor(given: Readonly<Record<Kind, readonly string[]>>) {
    for (const kind of KINDS) {
      for (const name of given[kind]) this.#entries[kind].set(name, entry(true));
    }
  }

  has(kind: Kind, name: string): boolean {
    return this.#entries[kind].has(name);
  }

  /** Whether what has come by that name is wanted still. While nothing was taken out it is, which is not looked up for every message. */
  isStill(kind: Kind, name: string): boolean {
    return !this.#hasShrunk || this.has(kind, name);
  }

  names(kind: Kind): readonly string[] {
    return [...this.#entries[kind].keys()];
  }

  /** Rejects when the server refuses it, or when the subscriber ends. @returns resolves when it is acknowledged for the first time. */
  add(kind: Kind, name: string): Promise<void> {
    const known = this.#entries[kind].get(name);
    if (known) return known.acknowledged;
    const added = entry(false);
    this.#entries[kind].set(name, added);
    return added.acknowledged;
  }

  remove(kind: Kind, name: string): void {
    // Who waited for it has what he wants now: nothing.
    this.#entries[kind].get(name)?.resolve();
    this.#takeOut(kind, name);
  }

  acknowledge(kind: Kind, name: string): void {
    const known = this.#entries[kind].get(name);
    if (!known) return;
    known.isSettled = true;
    known.resolve();
  }

  /** Takes out a name that was never acknowledged. @returns whether whoever asked for it is told. */
  refuse(kind: Kind, name: string, error: Error): boolean {
    const known = this.#entries[kind].get(name);
    if (!known) return true;
    if (known.isSettled) return false;
    this.#takeOut(kind, name);
    known.reject(error);
    return true;
  }

  /** Takes out all names that were never acknowledged. @returns whether there were any. */
  refuseNew(kind: Kind, error: Error): boolean {
    return this.names(kind).filter((name) => this.refuse(kind, name, error)).length > 0;
  }

  #takeOut(kind: Kind, name: string): void {
    this.#entries[kind].delete(name);
    this.#hasShrunk = true;
  }

  /** No name will be acknowledged any more. */
  end(error: Error): void {
    for (const kind of KINDS) {
      for (const { reject } of this.#entries[kind].values()) reject(error);
    }
  }
}

function entry(isSettled: boolean): Entry {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const acknowledged = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Of what was given nobody waits for the acknowledgement.
  acknowledged.catch(() => {});
  return { isSettled, acknowledged, resolve, reject };
}
