import { afterIdly, now } from '../clock.ts';
import { LeaseOverdueError } from '../errors.ts';
import { Alarm } from './alarm.ts';
import type { Lease } from './lease.ts';
import type { Slot } from './slot.ts';

/** Reports leases that are held for longer than `leakAfterMs`, each once, while they can still be told from where they came. */
export class OverdueWatch<T> {
  readonly #afterMs: number;
  readonly #slots: Iterable<Slot<T>>;
  readonly #onOverdue: (lease: Lease<T>, error: LeaseOverdueError) => void;
  readonly #alarm = new Alarm(() => this.#look(), afterIdly);
  readonly #told = new WeakSet<Lease<T>>();

  constructor(afterMs: number, slots: Iterable<Slot<T>>, onOverdue: (lease: Lease<T>, error: LeaseOverdueError) => void) {
    this.#afterMs = afterMs;
    this.#slots = slots;
    this.#onOverdue = onOverdue;
  }

  get isOn(): boolean {
    return this.#afterMs !== Number.POSITIVE_INFINITY;
  }

  /** A lease begins. */
  watch(lease: Lease<T>): void {
    if (this.isOn) this.#alarm.set(lease.since + this.#afterMs);
  }

  stop(): void {
    this.#alarm.clear();
  }

  #look(): void {
    for (const { leases } of this.#slots) {
      for (const lease of leases) {
        if (lease.kind !== 'user' || this.#told.has(lease)) continue;
        if (now() - lease.since >= this.#afterMs) this.#tell(lease);
        else this.#alarm.set(lease.since + this.#afterMs);
      }
    }
  }

  #tell(lease: Lease<T>): void {
    this.#told.add(lease);
    this.#onOverdue(lease, new LeaseOverdueError(lease.engine.name, lease.facts(), this.#afterMs, lease.sample));
  }
}
