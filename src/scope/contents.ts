import type { TreeNode } from './belonging.ts';
import { Cleanup } from './cleanup.ts';
import { Holdings } from './holdings.ts';
import { Running } from './running.ts';

/** What is in a scope: what runs, what it holds for other parts of the library, what is to be stopped. */
export class Contents {
  readonly running = new Running();
  readonly holdings = new Holdings(this.running);
  readonly cleanup = new Cleanup();

  get isEmpty(): boolean {
    return this.running.isEmpty && this.holdings.isEmpty && this.cleanup.isEmpty;
  }

  cancel(reason: unknown): void {
    this.running.cancel(reason);
    this.cleanup.cancel(reason);
    this.holdings.cancel(reason);
    this.running.poke();
  }

  describe(): TreeNode[] {
    return [
      ...[...this.running.tasks].map((task) => task.describe()),
      ...this.running.children.map((child) => child.tree()),
      ...this.cleanup.describe(),
      ...this.holdings.describe(),
    ];
  }
}
