import type { Executor } from '../../src/pool/executor.ts';
import type { Lease } from '../../src/pool/lease.ts';
import { Scheduler } from '../../src/pool/scheduler.ts';
import { goingOf, type Slot } from '../../src/pool/slot.ts';
import { type Priority, RANKS, Waiter } from '../../src/pool/waiter.ts';

const nobody = { resolve: () => {}, reject: () => {}, forgive: () => {} };

/** Somebody who holds a slot. */
export interface Holder {
  readonly exclusive: boolean;
  readonly slot: Slot<number>;
}

/** A scheduler whose resources come, go and fail when the test says so, and that checks its invariants after every step. */
export class Script implements Executor<number> {
  readonly scheduler: Scheduler<number>;
  readonly creating: Slot<number>[] = [];
  readonly checking: Slot<number>[] = [];
  readonly closing: Slot<number>[] = [];
  readonly holders: Holder[] = [];
  readonly waiters: Waiter<number>[] = [];
  /** Shared slots that are looked at while they are held; the same one perhaps twice. */
  readonly looking: Slot<number>[] = [];
  /** What must be checked before it is lent. */
  readonly stale = new Set<Slot<number>>();
  /** What must be looked at before somebody gets it alone. */
  readonly unseen = new Set<Slot<number>>();
  readonly unusable = new Set<Slot<number>>();
  readonly late = new Set<Waiter<number>>();
  /** How often the earliest waiter was passed over for a slot that came free, and the earliest sharer for a place on a shared one. */
  readonly #passedOver = { all: new Map<Waiter<number>, number>(), sharers: new Map<Waiter<number>, number>() };
  /** Most that may be open: `max`, or what was open when it was lowered, until that has come down. */
  #most: number;

  constructor(max: number, maxSharers = 1) {
    this.#most = max;
    this.scheduler = new Scheduler(max, maxSharers, this);
  }

  // As the executor.

  create(slot: Slot<number>): void {
    this.creating.push(slot);
  }

  check(slot: Slot<number>): void {
    (slot.holders > 0 ? this.looking : this.checking).push(slot);
  }

  close(slot: Slot<number>): void {
    this.closing.push(slot);
  }

  idle(slot: Slot<number>): void {
    slot.provenAt = 0;
  }

  grant(waiter: Waiter<number>, slot: Slot<number>): void {
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
    if (waiter.nested) this.#stuck(waiter, -1);
    this.#verifyOrder(waiter, slot);
    this.holders.push({ exclusive: waiter.exclusive, slot });
  }

  isStale(slot: Slot<number>, mustLook: boolean): boolean {
    return this.stale.has(slot) || (mustLook && this.unseen.has(slot));
  }

  isStuck({ stuck }: Slot<number>): boolean {
    return stuck > 0;
  }

  isTooLate(waiter: Waiter<number>): boolean {
    return this.late.has(waiter) && !waiter.nested;
  }

  shed(waiter: Waiter<number>): void {
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
    if (waiter.nested) this.#stuck(waiter, -1);
  }

  isUsable(slot: Slot<number>): boolean {
    return !this.unusable.has(slot);
  }

  // What a test does.

  /** @returns the waiter, where nothing could be had at once. */
  acquire(kind: 'exclusive' | 'shared', inside?: Holder, priority: Priority = 'normal'): Waiter<number> | undefined {
    const exclusive = kind === 'exclusive';
    const again = inside && !exclusive && !inside.exclusive && this.scheduler.shareAgain(inside.slot) ? inside.slot : undefined;
    const slot = again ?? this.scheduler.take(exclusive);
    if (slot) {
      this.holders.push({ exclusive, slot });
      return undefined;
    }
    const lease = { exclusive } as Lease<number>;
    const waiter = new Waiter<number>(lease, nobody, inside ? RANKS.nested : RANKS[priority], 0, Number.POSITIVE_INFINITY);
    this.#inside.set(waiter, inside);
    if (inside) this.#stuck(waiter, 1);
    this.waiters.push(waiter);
    this.scheduler.wait(waiter);
    return waiter;
  }

  readonly #inside = new Map<Waiter<number>, Holder | undefined>();

  tryAcquire(): void {
    const slot = this.scheduler.take(true, false);
    if (slot) this.holders.push({ exclusive: true, slot });
  }

  /** How much is being created, checked or looked at. */
  get arriving(): number {
    return this.creating.length + this.checking.length + this.looking.length;
  }

  /** As a lease does it: a holder counts once, however many acquires wait in its code. */
  #stuck(waiter: Waiter<number>, step: 1 | -1): void {
    const holder = this.#inside.get(waiter);
    if (!holder || !this.holders.includes(holder)) return;
    const others = this.waiters.filter((other) => other !== waiter && this.#inside.get(other) === holder);
    if (others.length === 0) holder.slot.stuck += step;
  }

  waitsItself(holder: Holder): boolean {
    return this.waiters.some((waiter) => this.#inside.get(waiter) === holder);
  }

  releaseNewest(): void {
    this.release(this.holders.at(-1));
  }

  /** @param how What the holder leaves behind: nothing, or something that takes time to undo. */
  release(holder: Holder | undefined, how?: 'reset'): void {
    if (!holder) return;
    if (how && holder.slot.state === 'exclusive') holder.slot.isResetting = true;
    if (this.waitsItself(holder)) holder.slot.stuck--;
    this.holders.splice(this.holders.indexOf(holder), 1);
    this.scheduler.release(holder.slot);
  }

  leave(waiter: Waiter<number>): void {
    this.#stuck(waiter, -1);
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
    this.scheduler.leave(waiter);
  }

  arrive(slot = this.creating[0]): void {
    if (!slot) return;
    this.creating.splice(this.creating.indexOf(slot), 1);
    this.scheduler.permits = Number.POSITIVE_INFINITY;
    this.scheduler.arrived(slot);
  }

  fail(slot = this.creating[0]): void {
    if (!slot) return;
    this.creating.splice(this.creating.indexOf(slot), 1);
    this.scheduler.permits = 0;
    this.scheduler.closed(slot);
  }

  /** The next step of the backoff. */
  permit(): void {
    if (this.scheduler.permits > 0) return;
    this.scheduler.permits = 1;
    this.scheduler.settle();
  }

  checked(isAlive: boolean, slot = this.checking[0]): void {
    if (!slot) return;
    this.checking.splice(this.checking.indexOf(slot), 1);
    this.stale.delete(slot);
    this.unseen.delete(slot);
    if (slot.state !== 'checking') return;
    if (!isAlive) return this.scheduler.retire(slot, 'invalid');
    slot.isResetting = false;
    this.scheduler.arrived(slot);
  }

  looked(isAlive: boolean, slot = this.looking[0]): void {
    if (!slot) return;
    this.looking.splice(this.looking.indexOf(slot), 1);
    this.stale.delete(slot);
    if (!isAlive) this.unusable.add(slot);
    this.scheduler.looked(slot);
  }

  resize(max: number): void {
    this.#most = Math.max(max, this.scheduler.open);
    this.scheduler.resize(max);
  }

  closed(slot = this.closing[0]): void {
    if (!slot) return;
    this.closing.splice(this.closing.indexOf(slot), 1);
    this.scheduler.closed(slot);
  }

  /** Opens slots that nobody holds. */
  warm(count: number): Slot<number>[] {
    this.scheduler.growTo(count);
    while (this.creating.length > 0) this.arrive();
    return [...this.scheduler.slots];
  }

  get states(): string[] {
    return [...this.scheduler.slots].map(({ state }) => state);
  }

  /** Whether the slot is, or has to be, looked at before it can be lent. */
  #isUnseen(slot: Slot<number>): boolean {
    return this.stale.has(slot) || this.looking.includes(slot);
  }

  /** @throws Error that names the invariant that does not hold. */
  verify(): void {
    const { scheduler, holders } = this;
    const claim = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`does not hold: ${what}; ${this.describe()}`);
    };
    claim(scheduler.open <= this.#most, 'never more than max open, or than were when it was lowered');
    if (scheduler.open <= scheduler.max) this.#most = scheduler.max;
    const living = scheduler.slots.size - goingOf(scheduler.slots);
    claim(living === 0 || living + this.creating.length <= scheduler.max, 'what is above max is on its way out');
    claim(scheduler.open === scheduler.slots.size + this.creating.length, 'whatever is created, held or closing is open');
    claim(scheduler.waiters.size === this.waiters.length, 'who waits is who was not granted');
    for (const slot of scheduler.slots) {
      const mine = holders.filter((holder) => holder.slot === slot);
      const exclusive = mine.filter((holder) => holder.exclusive).length;
      claim(exclusive === 0 || mine.length === 1, 'nobody beside an exclusive holder');
      claim(mine.length <= Math.max(scheduler.maxSharers, 1), 'never more than maxSharers');
      claim(mine.length === slot.holders, 'holders are counted');
      claim(slot.state !== 'free' || mine.length === 0, 'a free slot has no holder');
      claim(slot.state !== 'free' || !slot.isResetting, 'nothing is lent that is still being made as it was');
      claim(slot.state !== 'closing' || mine.length === 0, 'no holder is cut off');
    }
    const free = [...scheduler.free].filter((slot) => !this.stale.has(slot) && !this.unusable.has(slot));
    const alone = this.waiters.length - this.waiters.filter(({ exclusive }) => !exclusive).length;
    // Behind somebody who wants it alone others wait, too.
    const lendable = alone > 0 ? free.filter((slot) => !this.unseen.has(slot)) : free;
    claim(this.waiters.length === 0 || lendable.length === 0, 'nobody waits beside a free slot');
    const checked = this.checking.filter(({ state }) => state === 'checking').length;
    claim(scheduler.arriving === this.creating.length + checked + this.looking.length, 'what is created, checked or looked at is arriving');
    const asked = checked + this.looking.length;
    claim(
      scheduler.free.size === 0 || scheduler.waiters.wanted(scheduler.maxSharers) <= asked,
      'nobody waits beside a slot that nobody checks',
    );
    const shared = this.waiters.filter(({ exclusive }) => !exclusive);
    const room = [...scheduler.slots].some(
      (slot) => slot.state === 'shared' && slot.holders < scheduler.maxSharers && !this.unusable.has(slot) && !this.#isUnseen(slot),
    );
    claim(shared.length === 0 || !room, 'no sharer waits beside a shared slot with room');
    const canGrow = scheduler.open < scheduler.max && scheduler.permits > 0;
    const wanted = this.waiters.length - shared.length + (shared.length && Math.max(1, Math.ceil(shared.length / scheduler.maxSharers)));
    const coming = scheduler.arriving + this.waiters.filter(({ reserved }) => reserved).length;
    claim(wanted <= coming || !canGrow, 'nobody waits while the pool can grow');
    const reserved = [...scheduler.slots].filter(({ state }) => state === 'reserved');
    claim(
      reserved.every((slot) => slot.reservedFor?.reserved === slot && this.waiters.includes(slot.reservedFor)),
      'who drains, drains for a waiter',
    );
  }

  /** Within a rank first come, first served, and nobody is passed over more than seven times in a row. */
  #verifyOrder(served: Waiter<number>, slot: Slot<number>): void {
    // A place on a shared slot that turns out to be dead is looked for elsewhere.
    if (this.unusable.size > 0) return;
    const claim = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`does not hold: ${what}; ${this.describe()}`);
    };
    const joins = slot.holders > 1;
    const others = joins ? this.waiters.filter(({ exclusive }) => !exclusive) : this.waiters;
    const earlier = others.filter(({ turn }) => turn < served.turn).toSorted((a, b) => a.turn - b.turn);
    claim(!earlier.some(({ rank }) => rank === served.rank), 'first come, first served within a rank');
    claim(served.nested || !earlier.some(({ nested }) => nested), 'who holds a connection goes first');
    const [first] = earlier;
    if (!first || served.nested) return;
    const counts = joins ? this.#passedOver.sharers : this.#passedOver.all;
    const count = (counts.get(first) ?? 0) + 1;
    counts.set(first, count);
    claim(count <= 7, 'nobody is passed over more than seven times');
  }

  describe(): string {
    const slots = [...this.scheduler.slots].map(({ state, holders, stuck }) => `${state}(${holders},${stuck})`);
    const waiters = this.waiters.map(({ exclusive, nested }) => `${nested ? 'nested ' : ''}${exclusive ? 'exclusive' : 'shared'}`);
    return `max ${this.scheduler.max}; slots ${slots}; creating ${this.creating.length}; waiting ${waiters}; permits ${this.scheduler.permits}`;
  }
}
