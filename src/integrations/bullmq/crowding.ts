import type { Engine } from '../../pool/engine.ts';
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
    for (const owner of new Set([this.#scope, this.#scope.root])) {
      for (const single of owner.singles) if ('scheduler' in single) this.#lookAt(single as Engine<unknown>);
    }
  }

  #lookAt({ name: pool, scheduler: { max }, waiting }: Engine<unknown>): void {
    const { name, concurrency } = this.#worker;
    if (waiting.crowded === 0 || max >= concurrency || this.#told.has(pool)) return;
    this.#told.add(pool);
    process.emitWarning(
      `worker "${name}" runs ${concurrency} jobs at a time, but the pool "${pool}" has at most ${max} for them: jobs that need a connection ` +
        'of their own wait for one another. Raise its limit, or lower the concurrency',
      { type: 'ScopedPoolWarning', code: 'SCOPED_POOL_LIMIT_LOW' },
    );
  }
}
