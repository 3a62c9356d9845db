import type { Engine } from '../../pool/engine.ts';
import { permitsIn } from '../../pool/quota.ts';
import type { Scope } from '../../scope/index.ts';
import type { WorkerFacts } from './options.ts';

/** Tells once of each pool that jobs wait there for one another, because it has fewer connections than jobs that run at a time. */
export class Crowding {
  readonly #scope: Scope;
  readonly #worker: WorkerFacts;
  readonly #told = new Set<string>();

  constructor(scope: Scope, worker: WorkerFacts) {
    this.#scope = scope;
    this.#worker = worker;
  }

  look(): void {
    for (const single of this.#scope.root.singles) {
      if (!('scheduler' in single)) continue;
      const engine = single as Engine<unknown>;
      const permits = permitsIn(this.#scope, engine);
      if (permits) this.#tell(engine.name, permits.scheduler.max, permits.waiting.crowded);
      this.#tell(engine.name, engine.scheduler.max, engine.waiting.crowded);
    }
  }

  #tell(pool: string, max: number, crowded: number): void {
    const { name, concurrency } = this.#worker;
    if (crowded === 0 || max >= concurrency || this.#told.has(pool)) return;
    this.#told.add(pool);
    process.emitWarning(
      `worker "${name}" runs ${concurrency} jobs at a time, but the pool "${pool}" has at most ${max} for them: jobs that need a connection ` +
        'of their own wait for one another. Raise its limit, or lower the concurrency',
      { type: 'ScopedPoolWarning', code: 'SCOPED_POOL_LIMIT_LOW' },
    );
  }
}
