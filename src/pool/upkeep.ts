import type { CloseReason } from './slot.ts';

/** What upkeep looks at in a slot. */
export interface Aged {
  readonly state: string;
  /** When it was created, in milliseconds of the clock. */
  readonly createdAt: number;
  readonly idleSince: number;
  /** When it was last found alive. */
  readonly provenAt: number;
  /** From 0 to 0.1: by how much of its lifetime it goes, and of `keepaliveMs` it is checked, earlier than others. */
  readonly jitter: number;
}

/** How long resources may live, and how often they are checked meanwhile. */
export interface AgeRules {
  readonly min: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly keepaliveMs: number;
}

/** What is due, and when to look again (`Infinity`: when something changes). */
export interface Due<S> {
  readonly retire: readonly { readonly slot: S; readonly reason: CloseReason }[];
  readonly check: readonly S[];
  readonly nextAt: number;
}

/**
 * Which slots are too old, held or not, which are too long idle, and which have to be checked to stay warm. Pure: it is
 * told the time and owns no timer.
 *
 * @param living Slots that are not being closed. Idleness never takes them below `min`; age does, and they are made anew.
 */
export function onTick<S extends Aged>(living: readonly S[], rules: AgeRules, now: number): Due<S> {
  const oldAt = (slot: S) => oldAtOf(slot, rules);
  const idleAt = (slot: S) => slot.idleSince + rules.idleTimeoutMs;
  const checkAt = (slot: S) => checkAtOf(slot, rules);
  const old = living.filter((slot) => oldAt(slot) <= now);
  const young = living.filter((slot) => oldAt(slot) > now);
  const spare = Math.max(0, young.length - rules.min);
  const longestIdle = young.filter(({ state }) => state === 'free').sort((a, b) => a.idleSince - b.idleSince);
  const idle = longestIdle.slice(0, spare).filter((slot) => idleAt(slot) <= now);
  const kept = longestIdle.slice(idle.length);
  return {
    retire: [...old.map((slot) => ({ slot, reason: 'lifetime' as const })), ...idle.map((slot) => ({ slot, reason: 'idle' as const }))],
    check: kept.filter((slot) => checkAt(slot) <= now),
    nextAt: Math.min(
      ...young.map(oldAt),
      ...longestIdle.slice(idle.length, spare).map(idleAt),
      ...kept.map(checkAt).filter((time) => time > now),
    ),
  };
}

/** When a slot has reached its lifetime: somewhere in the last tenth of it. */
export function oldAtOf(
  { createdAt, jitter }: Pick<Aged, 'createdAt' | 'jitter'>,
  { maxLifetimeMs }: Pick<AgeRules, 'maxLifetimeMs'>,
): number {
  return createdAt + maxLifetimeMs * (1 - jitter);
}

/** When an idle slot has to be checked to stay warm: those that were opened together, not all at once. */
export function checkAtOf({ provenAt, jitter }: Pick<Aged, 'provenAt' | 'jitter'>, { keepaliveMs }: Pick<AgeRules, 'keepaliveMs'>): number {
  return provenAt + keepaliveMs * (1 - jitter);
}
