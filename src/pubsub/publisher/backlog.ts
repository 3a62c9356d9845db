import { PublisherOverflowError } from '../../errors.ts';
import type { Payload } from '../codec.ts';
import { OVERFLOWS } from '../inbox.ts';

export const PUBLISHER_OVERFLOWS = ['wait', ...OVERFLOWS] as const;

/** What a publisher does whose buffer is full: `wait` holds the source back, `fail` ends it with an error. */
export type PublisherOverflow = (typeof PUBLISHER_OVERFLOWS)[number];

/** How much is kept of what a source yields faster than it is published. */
export interface BacklogRules {
  readonly max: number;
  readonly overflow: PublisherOverflow;
}

/** What waits to be published, in order: at most `max`, beside what is on its way and may come back. */
export class Backlog {
  readonly #owner: string;
  readonly #rules: BacklogRules;
  #payloads: Payload[] = [];
  /** How many places are empty, at the beginning: to shift each would move all others. */
  #taken = 0;

  constructor(owner: string, rules: BacklogRules) {
    this.#owner = owner;
    this.#rules = rules;
  }

  get size(): number {
    return this.#payloads.length - this.#taken;
  }

  /** Whether the source is to wait. */
  get isHolding(): boolean {
    return this.#rules.overflow === 'wait' && this.size >= this.#rules.max;
  }

  /** @returns how many were dropped for it, or it itself. @throws PublisherOverflowError */
  push(payload: Payload): number {
    const { max, overflow } = this.#rules;
    if (this.size >= max && overflow === 'fail') throw new PublisherOverflowError(this.#owner, max);
    if (this.size >= max && overflow === 'drop-newest') return 1;
    this.#payloads.push(payload);
    return overflow === 'drop-oldest' ? this.take(Math.max(this.size - max, 0)).length : 0;
  }

  /** The oldest. */
  take(most: number): Payload[] {
    const taken = this.#payloads.slice(this.#taken, this.#taken + most);
    this.#taken += taken.length;
    if (this.#taken > 1_000 && this.#taken * 2 > this.#payloads.length) {
      this.#payloads.splice(0, this.#taken);
      this.#taken = 0;
    }
    return taken;
  }

  /** Those that were taken, to the front. */
  putBack(payloads: readonly Payload[]): void {
    this.#payloads.splice(this.#taken, 0, ...payloads);
  }
}
