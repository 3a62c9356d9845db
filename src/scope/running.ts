import { after, cancel } from '../clock.ts';
import { List } from '../list.ts';
import type { Lifetime } from './lifetime.ts';
import type { RunningTask } from './task.ts';
import type { Work } from './work.ts';

const NONE: readonly Lifetime[] = [];

/** What a scope waits for before it closes: its body, its tasks, its child scopes, replies on their way. */
export class Running {
  #body: Work | undefined;
  #tasks: Set<RunningTask> | undefined;
  #children: List<Lifetime> | undefined;
  /** How many of them are scopes of background tasks. */
  #backgroundChildren = 0;
  #replies = 0;
  /** How many of all these hold the scope open: all but background tasks and what is opened in them. */
  #awaited = 0;
  #changed: (() => void) | undefined;

  addBody(body: Work): void {
    this.#body = body;
    this.#awaited++;
  }

  removeBody(body: Work): void {
    if (this.#body !== body) return;
    this.#body = undefined;
    this.#end();
  }

  addTask(task: RunningTask): void {
    this.#tasks ??= new Set();
    this.#tasks.add(task);
    if (!task.background) this.#awaited++;
  }

  removeTask(task: RunningTask): void {
    if (!this.#tasks?.delete(task)) return;
    if (task.background) this.poke();
    else this.#end();
  }

  addChild(child: Lifetime): void {
    this.#children ??= new List();
    this.#children.push(child);
    if (child.isBackground) this.#backgroundChildren++;
    else this.#awaited++;
  }

  /** A scope that closes leaves its parent, or a worker that lives for months would remember every job. */
  removeChild(child: Lifetime): void {
    if (!this.#children?.remove(child)) return;
    if (!child.isBackground) return this.#end();
    this.#backgroundChildren--;
    this.poke();
  }

  addReply(): void {
    this.#replies++;
    this.#awaited++;
  }

  removeReply(): void {
    this.#replies--;
    this.#end();
  }

  get tasks(): Iterable<RunningTask> {
    return this.#tasks ?? [];
  }

  /** At this moment: one that is stopped may end others. */
  get children(): readonly Lifetime[] {
    return this.#children ? [...this.#children] : NONE;
  }

  /** Whether nothing runs that holds the scope open. */
  get isQuiet(): boolean {
    return this.#awaited === 0;
  }

  /** Whether nothing at all runs, background tasks and their scopes included. */
  get isEmpty(): boolean {
    return this.#awaited === 0 && this.#backgroundChildren === 0 && !this.#tasks?.size;
  }

  /** Whether only scopes that were opened by hand hold the scope open, and nobody is left to close them. */
  get isForgotten(): boolean {
    if (this.#awaited === 0 || !this.#children || this.#awaited !== this.#children.size - this.#backgroundChildren) return false;
    // Asked whenever one ends: without a copy, and mostly the first says no.
    for (let at = this.#children.first; at; at = at.next) if (!at.isBackground && !isOpenedByHand(at)) return false;
    return true;
  }

  /** Asks tasks and child scopes to stop; those that were asked before are not asked again. */
  cancel(reason: unknown): void {
    for (const task of this.tasks) task.abort.abort(reason);
    for (const child of this.children) child.stop(reason);
  }

  /** Waits until `done()`, at most `ms`; asked again whenever something ends and when {@link poke} is called. */
  until(done: () => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (done()) return resolve();
      const finish = () => {
        cancel(timer);
        this.#changed = undefined;
        resolve();
      };
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : after(ms, finish);
      this.#changed = () => {
        if (done()) finish();
      };
    });
  }

  poke(): void {
    this.#changed?.();
  }

  /** Names of what has not ended; {@link Holdings} has those of the replies. */
  names(): string[] {
    const names = [...this.tasks, ...this.children].map(({ name }) => name);
    if (this.#body) names.push('its body');
    return names;
  }

  /** What was left behind is no longer waited for, nor held in memory. */
  forget(): void {
    this.#body = this.#tasks = undefined;
    // Or they would hold each other.
    for (const child of this.children) this.#children?.remove(child);
    this.#backgroundChildren = 0;
    this.#awaited = this.#replies;
  }

  #end(): void {
    this.#awaited--;
    this.poke();
  }
}

/** Whether a scope waits for somebody to close it. */
export function isOpenedByHand(scope: Lifetime): boolean {
  return scope.kind === 'open' && scope.state === 'open';
}
