import type { Room, TreeNode } from './belonging.ts';
import { Cleanup } from './cleanup.ts';
import { Holdings } from './holdings.ts';
import type { Lifetime } from './lifetime.ts';
import { Running } from './running.ts';

/** What is in a scope: what runs, what it holds for other parts of the library, what is to be stopped. */
export class Contents {
  readonly running = new Running();
  readonly holdings = new Holdings(this.running);
  readonly cleanup = new Cleanup();

  get isEmpty(): boolean {
    return this.running.isEmpty && this.holdings.isEmpty && this.cleanup.isEmpty;
  }

  /** Scopes right below: children, and those in which resources were started. */
  get scopes(): readonly Lifetime[] {
    return [...this.running.children, ...this.cleanup.scopes];
  }

  cancel(reason: unknown): void {
    this.running.cancel(reason);
    this.cleanup.cancel(reason);
    this.holdings.cancel(reason);
    this.running.poke();
  }

  describe(room: Room): Pick<TreeNode, 'children' | 'more'> {
    const { running, cleanup, holdings } = this;
    const all = [...running.tasks, ...running.children, ...cleanup.resources, ...holdings.belongings];
    const shown = all.slice(0, Math.min(room.most, room.left));
    room.left -= shown.length;
    const children = shown.map((each) => each.describe(room));
    return all.length > shown.length ? { children, more: all.length - shown.length } : { children };
  }
}
