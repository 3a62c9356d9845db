import type { CloseReason } from './slot.ts';

/** What upkeep looks at in a slot. */
export interface Aged {
  /** When it was created, in milliseconds of the clock. */
  readonly createdAt: number;
  readonly idleSince: number;
}

/** How long resources may live. */
export interface AgeRules {
  readonly min: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
}

/** What is due, and when to look again (`Infinity`: when something changes). */
export interface Due<S> {
  readonly close: readonly { readonly slot: S; readonly reason: CloseReason }[];
  readonly nextMs: number;
}

/**
 * Which free slots are too old or too long idle. Pure: it is told the time and owns no timer.
 *
 * @param free Free slots, longest idle first.
 * @param open How many slots are open in all; idleness never takes them below `min`, age does, and they are made anew.
 */
export function onTick<S extends Aged>(free: Iterable<S>, open: number, rules: AgeRules, now: number): Due<S> {
  const close: { slot: S; reason: CloseReason }[] = [];
  let nextMs = Number.POSITIVE_INFINITY;
  for (const slot of free) {
    const oldIn = slot.createdAt + rules.maxLifetimeMs - now;
    const idleIn = open - close.length > rules.min ? slot.idleSince + rules.idleTimeoutMs - now : Number.POSITIVE_INFINITY;
    if (oldIn <= 0) close.push({ slot, reason: 'lifetime' });
    else if (idleIn <= 0) close.push({ slot, reason: 'idle' });
    else nextMs = Math.min(nextMs, oldIn, idleIn);
  }
  return { close, nextMs };
}
