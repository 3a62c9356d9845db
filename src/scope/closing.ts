import { now } from '../clock.ts';
import { enterFrame } from '../context.ts';
import { ScopeTimeoutError } from '../errors.ts';
import { DONE, type LazyAbort } from './abort.ts';
import type { Contents } from './contents.ts';
import { hasLeftBehind } from './failures.ts';
import type { Lifetime } from './lifetime.ts';
import { AT_ONCE, type CloseOptions } from './options.ts';
import { isOpenedByHand } from './running.ts';

/** How a scope closes: drain, cancel, unwind. Lives as long as the closing does. */
export class Closing {
  state: 'draining' | 'unwinding' | 'closed' = 'draining';
  readonly #scope: Lifetime;
  readonly #contents: Contents;
  readonly #abort: LazyAbort;
  readonly #begun = now();
  readonly #errors: unknown[] = [];
  #graceMs: number;
  #cancelMs: number;

  constructor(scope: Lifetime, contents: Contents, abort: LazyAbort, { graceMs, cancelMs }: Required<CloseOptions>) {
    this.#scope = scope;
    this.#contents = contents;
    this.#abort = abort;
    this.#graceMs = graceMs;
    this.#cancelMs = cancelMs;
  }

  /** Somebody closes who has less time. */
  hurry({ graceMs, cancelMs }: CloseOptions): void {
    if (graceMs === 0) this.#graceMs = 0;
    if (cancelMs === 0) this.#cancelMs = 0;
    this.#contents.running.poke();
  }

  /** @returns what failed meanwhile. */
  run(): Promise<unknown[]> {
    // As nobody's work: who began the close may be inside a child, and to close that one is no deadlock here.
    return enterFrame({ scope: this.#scope, work: undefined, held: undefined }, () => this.#run());
  }

  async #run(): Promise<unknown[]> {
    const { running, cleanup, holdings } = this.#contents;
    await this.#drain();
    do {
      await this.#cancel();
      this.#errors.push(...(await cleanup.unwind(this.#scope)));
      // A closer may have begun something, too.
    } while (!running.isEmpty || !cleanup.isEmpty);
    if (hasLeftBehind(this.#errors)) this.#scope.noteLeftBehind();
    holdings.endKept(this.#scope.isStopped || this.#scope.hasLeftBehind);
    this.#revoke();
    do {
      this.#errors.push(...(await holdings.closeSingles()));
      this.#revoke();
      // What was left behind may have opened a pool meanwhile.
    } while (holdings.hasSingles);
    this.state = 'closed';
    return this.#errors;
  }

  async #drain(): Promise<void> {
    const { running } = this.#contents;
    const isOver = () => running.isQuiet || this.#abort.aborted || this.#graceMs === 0;
    let leftMs = this.#graceMs;
    do {
      this.#closeOpened();
      await running.until(() => isOver() || running.isForgotten, leftMs);
      leftMs = this.#graceMs - (now() - this.#begun);
    } while (!isOver() && leftMs > 0);
  }

  async #cancel(): Promise<void> {
    const { running } = this.#contents;
    // What hangs below a resource goes on until its stop, which may wait for it: a server for its requests.
    if (running.isQuiet) this.#abort.abort(DONE);
    else this.#scope.stop(DONE);
    // Also what was begun since the scope was stopped.
    running.cancel(DONE);
    this.#closeOpened();
    await running.until(() => running.isEmpty || this.#cancelMs === 0, this.#cancelMs);
    this.state = 'unwinding';
    await this.#leaveBehind();
  }

  async #leaveBehind(): Promise<void> {
    const { running, holdings } = this.#contents;
    if (!running.isEmpty) {
      const names = [...running.names(), ...holdings.names()];
      this.#errors.push(new ScopeTimeoutError(this.#scope.name, names, now() - this.#begun));
    }
    await Promise.all(running.children.map((child) => this.#close(child, AT_ONCE)));
    this.#revoke();
    running.forget();
  }

  #closeOpened(): void {
    for (const child of this.#contents.running.children) if (isOpenedByHand(child)) void this.#close(child, {});
  }

  async #close(child: Lifetime, options: CloseOptions): Promise<void> {
    // A child that was closed before has told, or will tell, whoever closed it; all that can be lost is reported.
    const mine = isOpenedByHand(child);
    try {
      await child.close(options);
    } catch (error) {
      if (mine && !child.failsUpwards) this.#errors.push(error);
      else if (child.kind === 'lexical') this.#scope.report(error, child.name);
    }
  }

  #revoke(): void {
    for (const leak of this.#contents.holdings.revoke()) this.#scope.report(leak, 'leases');
  }
}
