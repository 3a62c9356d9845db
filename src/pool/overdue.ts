import { CHANNELS, publish } from '../channels.ts';
import { afterIdly, now } from '../clock.ts';
import { LeaseOverdueError } from '../errors.ts';
import { Alarm } from './alarm.ts';
import type { Engine } from './engine.ts';
import type { Lease } from './lease.ts';

/** Reports leases that are held for longer than `leakAfterMs`, each once, while they can still be told from where they came. */
export class OverdueWatch<T> {
  readonly #engine: Engine<T>;
  readonly #afterMs: number;
  readonly #alarm = new Alarm(() => this.#look(), afterIdly);
  readonly #told = new WeakSet<Lease<T>>();

  constructor(engine: Engine<T>) {
    this.#engine = engine;
    this.#afterMs = engine.rules.leakAfterMs;
  }

  /** A lease begins. */
  watch(lease: Lease<T>): void {
    this.#alarm.set(lease.since + this.#afterMs);
  }

  stop(): void {
    this.#alarm.clear();
  }

  #look(): void {
    // A copy: who is told may release.
    const held = [...this.#engine.scheduler.slots].flatMap(({ leases }) => [...leases]);
    for (const lease of held) {
      if (lease.kind !== 'user' || lease.isKept || lease.ended || this.#told.has(lease)) continue;
      if (now() - lease.since >= this.#afterMs) this.#tell(lease);
      else this.watch(lease);
    }
  }

  #tell(lease: Lease<T>): void {
    const { name, counts } = this.#engine;
    const error = new LeaseOverdueError(name, lease.facts(), this.#afterMs, lease.sample);
    this.#told.add(lease);
    counts.overdue++;
    this.#engine.onLeakSeen();
    publish(CHANNELS.leaseOverdue, () => ({ pool: name, scope: lease.scope.name, holder: error.holder }));
    lease.scope.report(error, `pool ${name}`);
  }
}
