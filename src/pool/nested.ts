import type { Engine } from './engine.ts';
import type { Lease } from './lease.ts';
import type { Slot } from './slot.ts';
import type { Waiter } from './waiter.ts';

const NOBODY: ReadonlySet<Waiter<unknown>> = new Set();

/** What is around a lease, and what waits inside it: by this deadlocks are seen. */
export abstract class Nested<T> {
  readonly engine: Engine<T>;
  /** Its place in the quota of its scope; given back after it. */
  permit: Lease<object> | undefined = undefined;
  /** While it waits to begin, in the line of its pool or of a quota. */
  waiter: Waiter<T> | undefined = undefined;
  since = 0;
  /** The acquires, of whatever pool, that wait in the code that holds it. */
  inside: ReadonlySet<Waiter<unknown>> = NOBODY;
  protected enclosing: Lease<unknown> | undefined;

  constructor(engine: Engine<T>, outer: Lease<unknown> | undefined) {
    this.engine = engine;
    this.enclosing = outer;
  }

  abstract readonly slot: Slot<T> | undefined;

  /** Its place in a quota; else the innermost lease that the acquiring code held, and that goes on. */
  get outer(): Lease<unknown> | undefined {
    while (this.enclosing?.ended) this.enclosing = this.enclosing.outer;
    return this.enclosing;
  }

  /** The innermost lease that the acquiring code holds. */
  get around(): Lease<unknown> | undefined {
    return this.permit ? this.permit.around : this.outer;
  }

  /** Whether the acquiring code holds another lease of that pool. */
  isNestedIn(engine: object): boolean {
    for (let outer = this.around; outer; outer = outer.outer) if (outer.engine === engine) return true;
    return false;
  }

  /** The shared connection of the same pool that the acquiring code has already. */
  sharedAround(): Slot<T> | undefined {
    for (let outer = this.outer; outer; outer = outer.outer) {
      if (!outer.exclusive && (outer.engine as unknown) === this.engine) return outer.slot as Slot<T>;
    }
    return undefined;
  }

  /** It begins to wait, and with it whatever the acquiring code holds. */
  wait(waiter: Waiter<T>): void {
    // Whoever comes from a quota has waited there.
    if (!this.waiter) this.since = waiter.since;
    this.waiter = waiter;
    const inner = waiter as unknown as Waiter<unknown>;
    for (let outer = this.outer; outer; outer = outer.outer) outer.addInside(inner);
  }

  endWait(): void {
    const inner = this.waiter as unknown as Waiter<unknown>;
    this.waiter = undefined;
    for (let outer = this.outer; outer; outer = outer.outer) outer.removeInside(inner);
  }

  addInside(waiter: Waiter<unknown>): void {
    const inside = this.inside === NOBODY ? new Set<Waiter<unknown>>() : (this.inside as Set<Waiter<unknown>>);
    this.inside = inside.add(waiter);
    if (inside.size === 1 && this.slot) this.slot.stuck++;
  }

  removeInside(waiter: Waiter<unknown>): void {
    const wasThere = (this.inside as Set<Waiter<unknown>>).delete(waiter);
    if (wasThere && this.inside.size === 0 && this.slot) this.slot.stuck--;
  }

  /** What is around it from now on, and around its place in a quota. */
  protected encloseIn(outer: Lease<unknown> | undefined): void {
    if (this.permit) this.permit.encloseIn(outer);
    else this.enclosing = outer;
  }

  /** Nothing is around it or waits in it any more: ended ones that did not let go would link all there ever were. */
  protected unlink(slot: Slot<T>): void {
    if (this.inside.size > 0) slot.stuck--;
    this.inside = NOBODY;
    this.enclosing = this.around;
  }
}
