import { List } from '../list.ts';
import type { Belonging, Kept } from './belonging.ts';
import type { Running } from './running.ts';

/** What exists once below a root, such as the pool of one definition. */
export interface Single {
  /** Called when the root closes, after everything that was opened in it has been stopped. */
  close(): unknown;
}

/** What other parts of the library keep in a scope: leases and waiters, and in a root the pools. */
export class Holdings {
  /** Whether the scope waits for all before it closes, whatever they are. */
  awaitsAll = false;
  /** Whether code of the scope may go on of which nobody knows. */
  isOpenEnded = false;
  readonly #running: Running;
  readonly #belongings = new List<Belonging>();
  readonly #kept: Kept[] = [];
  #singles: Map<object, Single> | undefined;

  constructor(running: Running) {
    this.#running = running;
  }

  add(belonging: Belonging): void {
    this.#belongings.push(belonging);
    if (this.awaitsAll || belonging.awaited) this.#running.addReply();
  }

  /** From now on the scope has it to its end. */
  keep(belonging: Kept): void {
    this.remove(belonging);
    this.#kept.push(belonging);
  }

  remove(belonging: Belonging): void {
    if (!this.#belongings.remove(belonging)) this.#removeKept(belonging as Kept);
    else if (this.awaitsAll || belonging.awaited) this.#running.removeReply();
  }

  get isEmpty(): boolean {
    return this.#belongings.size === 0 && this.#kept.length === 0 && !this.#singles?.size;
  }

  single(key: object): Single | undefined {
    return this.#singles?.get(key);
  }

  get singles(): Iterable<Single> {
    return this.#singles?.values() ?? [];
  }

  addSingle(key: object, single: Single): void {
    this.#singles ??= new Map();
    this.#singles.set(key, single);
  }

  removeSingle(key: object, single: Single): void {
    if (this.#singles?.get(key) === single) this.#singles.delete(key);
  }

  cancel(reason: unknown): void {
    // A copy: a waiter that leaves may free what the next one waits for, which then leaves, too.
    const waiting = [...this.#belongings];
    for (const belonging of waiting) if (belonging.list === this.#belongings) belonging.onCancel(reason);
  }

  /** Ends what is still there. @returns what to report. */
  revoke(): Error[] {
    const leaks: Error[] = [];
    for (let { first } = this.#belongings; first; { first } = this.#belongings) {
      this.remove(first);
      const leak = first.onEnd();
      if (leak) leaks.push(leak);
    }
    return leaks;
  }

  /** Gives up what was kept to the end, newest first. @param isCut Whether something was cancelled or left behind. */
  endKept(isCut: boolean): void {
    const ending = isCut ? 'cut' : this.isOpenEnded ? 'unknown' : 'settled';
    for (let kept = this.#kept.pop(); kept; kept = this.#kept.pop()) kept.onKeptToEnd(ending);
  }

  /** Newest first: the factory of a pool may use a pool that was opened before. @returns what failed. */
  async closeSingles(): Promise<unknown[]> {
    const errors: unknown[] = [];
    for (let last = this.#last(); last; last = this.#last()) {
      const [key, single] = last;
      try {
        await single.close();
      } catch (error) {
        errors.push(error);
      }
      this.removeSingle(key, single);
    }
    return errors;
  }

  get hasSingles(): boolean {
    return (this.#singles?.size ?? 0) > 0;
  }

  #removeKept(kept: Kept): void {
    const place = this.#kept.indexOf(kept);
    if (place >= 0) this.#kept.splice(place, 1);
  }

  #last(): [object, Single] | undefined {
    return [...(this.#singles ?? [])].at(-1);
  }

  /** Names of what the scope waits for. */
  names(): string[] {
    const counts = new Map<string, number>();
    for (const belonging of this.#belongings) {
      if (!this.awaitsAll && !belonging.awaited) continue;
      const { kind, name } = belonging.describe();
      const what = `${kind} of ${name}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
    return [...counts].map(([what, count]) => (count === 1 ? what : `${what} (${count})`));
  }

  get belongings(): readonly Belonging[] {
    return [...this.#belongings, ...this.#kept];
  }
}
