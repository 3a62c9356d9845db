import { afterIdly, now } from '../clock.ts';
import { Alarm } from './alarm.ts';
import type { Factory } from './factory.ts';
import type { Rules } from './options.ts';
import { recently } from './recently.ts';
import type { Scheduler } from './scheduler.ts';
import type { Slot } from './slot.ts';
import { Standstill } from './standstill.ts';
import { checkAtOf, oldAtOf, onTick } from './upkeep.ts';

/** What was heard of, or looked at, less than so long ago, in milliseconds, was so in this turn of the event loop. */
const SAME_TURN_MS = 1;

/** Looks after what is open: keeps the minimum, ends what is old or idle, and knows what has to be checked before it is lent. */
export class Keeper<T> {
  readonly #rules: Rules;
  readonly #factory: Factory<T>;
  readonly #scheduler: Scheduler<T>;
  readonly #alarm = new Alarm(() => this.#tend(), afterIdly);
  readonly #standstill: Standstill;
  #stopped = false;

  constructor(rules: Rules, factory: Factory<T>, scheduler: Scheduler<T>) {
    this.#rules = rules;
    this.#factory = factory;
    this.#scheduler = scheduler;
    this.#standstill = new Standstill(
      () => !this.#stopped && scheduler.open > 0,
      () => this.#suspectAll(),
    );
  }

  onCreated(slot: Slot<T>): void {
    slot.createdAt = now();
    this.#alarm.set(oldAtOf(slot, this.#rules));
    if (this.#factory.canValidate) this.#standstill.start();
  }

  /** A slot has come free, and nobody wants it. */
  idle(slot: Slot<T>): void {
    slot.provenAt = slot.heardAt = this.#factory.canJudge ? now() : recently();
    this.#noteLook(slot, slot.heardAt);
    if (slot.idleSince === Number.POSITIVE_INFINITY) slot.idleSince = slot.provenAt;
    if (this.#stopped) return;
    this.#alarm.set(slot.idleSince + this.#rules.idleTimeoutMs);
    this.#alarm.set(checkAtOf(slot, this.#rules));
  }

  /** Something came from the resource while it is shared. */
  heard(slot: Slot<T>): void {
    if (this.#factory.canJudge) slot.heardAt = now();
  }

  /**
   * Whether the resource has to be checked before it is lent.
   *
   * @param mustLook Who gets it alone would send to a dead one what nobody can take back; to others it is enough that
   * something was heard of it just now.
   */
  isStale(slot: Slot<T>, mustLook: boolean): boolean {
    // What is shared is in use: it cannot be asked, but looked at.
    if (this.needsValidation(slot) && slot.holders === 0) return true;
    if (!this.#factory.canJudge) return false;
    const time = now();
    this.#noteLook(slot, time);
    if (slot.heardAt === Number.POSITIVE_INFINITY) slot.heardAt = time;
    return time - (mustLook ? slot.lookedAt : slot.heardAt) > SAME_TURN_MS;
  }

  /** Whether the resource has to be asked whether it lives; else a look tells enough, in the next turn of the event loop. */
  needsValidation(slot: Slot<T>): boolean {
    if (!this.#factory.canValidate) return false;
    // First: it may make the slot suspect.
    this.#standstill.look();
    const time = recently();
    return slot.isSuspect || time - slot.provenAt >= this.#rules.validateAfterIdleMs || time >= checkAtOf(slot, this.#rules);
  }

  /** Opens what is missing to the minimum. */
  keepMinimum(): void {
    if (!this.#stopped) this.#scheduler.growTo(this.#rules.min);
  }

  stop(): void {
    this.#stopped = true;
    this.#alarm.clear();
    this.#standstill.stop();
  }

  /**
   * A look holds until the task that runs now has ended, with all that its promises do: in a later one a reply may be
   * read, and the news that it was the last stand behind it. No time says that: promises may take longer than a reply.
   */
  #noteLook(slot: Slot<T>, time: number): void {
    if (slot.lookedAt !== Number.POSITIVE_INFINITY) return;
    slot.lookedAt = time;
    process.nextTick(() => {
      slot.lookedAt = Number.NEGATIVE_INFINITY;
    });
  }

  /** Those that are shared drain, for they cannot be checked; the others are checked before they are lent. */
  #suspectAll(): void {
    for (const slot of this.#scheduler.slots) slot.isSuspect = true;
  }

  #tend(): void {
    const { slots, max } = this.#scheduler;
    const living = [...slots].filter(({ state }) => state !== 'retiring' && state !== 'closing');
    const rules = { ...this.#rules, min: Math.min(this.#rules.min, max) };
    const { retire, check, nextAt } = onTick(living, rules, now());
    for (const { slot, reason } of retire) this.#scheduler.retire(slot, reason);
    for (const slot of check) {
      // Where others were retired, it may have been lent in their place.
      if (slot.state !== 'free') continue;
      // A look would not keep it warm: it must be asked, whatever the clock that lags behind says of its age.
      slot.isSuspect = true;
      this.#scheduler.check(slot);
    }
    this.#alarm.set(nextAt);
  }
}
