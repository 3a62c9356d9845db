import { after, cancel } from '../clock.ts';
import type { Lifetime } from './lifetime.ts';
import type { RunningTask } from './task.ts';

/** What a scope waits for before it closes: its body, its tasks, its child scopes, replies on their way. */
export class Running {
  #tasks: Set<RunningTask> | undefined;
  #children: Set<Lifetime> | undefined;
  #awaited = 0;
  #changed: (() => void) | undefined;

  /** Something begins that is awaited and has no name of its own. */
  begin(): void {
    this.#awaited++;
  }

  end(): void {
    this.#awaited--;
    this.#changed?.();
  }

  addTask(task: RunningTask): void {
    this.#tasks ??= new Set();
    this.#tasks.add(task);
    if (!task.background) this.#awaited++;
  }

  removeTask(task: RunningTask): void {
    if (this.#tasks?.delete(task) && !task.background) this.#awaited--;
    this.#changed?.();
  }

  addChild(child: Lifetime): void {
    this.#children ??= new Set();
    this.#children.add(child);
    this.#awaited++;
  }

  /** A scope that closes leaves its parent, or a worker that lives for months would remember every job. */
  removeChild(child: Lifetime): void {
    if (this.#children?.delete(child)) this.#awaited--;
    this.#changed?.();
  }

  get tasks(): Iterable<RunningTask> {
    return this.#tasks ?? [];
  }

  get children(): Iterable<Lifetime> {
    return this.#children ?? [];
  }

  get isQuiet(): boolean {
    return this.#awaited === 0;
  }

  /** Whether nothing at all runs, background tasks included. */
  get isEmpty(): boolean {
    return this.#awaited === 0 && !this.#tasks?.size;
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

  /** Names of what has not ended; what has no name is counted. */
  names(): string[] {
    const named = [...this.tasks, ...this.children].map(({ name }) => name);
    const foreground = [...this.tasks].filter((task) => !task.background).length + (this.#children?.size ?? 0);
    const unnamed = this.#awaited - foreground;
    return unnamed > 0 ? [...named, `${unnamed} awaited`] : named;
  }
}
