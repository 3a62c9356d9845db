import type { CloseReason } from './slot.ts';

/** What upkeep looks at in a slot. */
export interface Aged {
  readonly state: string;
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
  readonly retire: readonly { readonly slot: S; readonly reason: CloseReason }[];
  readonly nextAt: number;
}

/**
 * Which slots are too old, held or not, and which are too long idle. Pure: it is told the time and owns no timer.
 *
 * @param living Slots that are not being closed. Idleness never takes them below `min`; age does, and they are made anew.
 */
export function onTick<S extends Aged>(living: readonly S[], rules: AgeRules, now: number): Due<S> {
  const oldAt = (slot: S) => slot.createdAt + rules.maxLifetimeMs;
  const idleAt = (slot: S) => slot.idleSince + rules.idleTimeoutMs;
  const old = living.filter((slot) => oldAt(slot) <= now);
  const young = living.filter((slot) => oldAt(slot) > now);
  const spare = Math.max(0, young.length - rules.min);
  const longestIdle = young
    .filter(({ state }) => state === 'free')
    .sort((a, b) => a.idleSince - b.idleSince)
    .slice(0, spare);
  const idle = longestIdle.filter((slot) => idleAt(slot) <= now);
  return {
    retire: [...old.map((slot) => ({ slot, reason: 'lifetime' as const })), ...idle.map((slot) => ({ slot, reason: 'idle' as const }))],
    nextAt: Math.min(...young.map(oldAt), ...longestIdle.slice(idle.length).map(idleAt)),
  };
}
