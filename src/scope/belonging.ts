import type { Linked } from '../list.ts';
import type { Ending } from './kept.ts';

/** What a scope shows of something it owns. */
export interface TreeNode {
  readonly name: string;
  readonly kind: 'root' | 'scope' | 'task' | 'background' | 'resource' | 'lease' | 'waiter';
  readonly state: string;
  /** Milliseconds since it was opened. */
  readonly ageMs: number;
  /** Of a lease or waiter: the line of code that acquires it, where it was sampled. */
  readonly site?: string | undefined;
  readonly children: readonly TreeNode[];
  /** How many children are left out, where not all are told of. */
  readonly more?: number;
}

/** How much of a tree is told of. */
export interface Room {
  /** Nodes below each one. */
  readonly most: number;
  /** Nodes that there is room for still, all together. */
  left: number;
}

/**
 * Something that must not outlive the scope it belongs to, and that the scope knows nothing else of: a lease, an
 * acquire that waits. It leaves with `scope.disown()` when it ends by itself.
 */
export interface Belonging extends Linked<Belonging> {
  /** Whether the scope waits for it before it closes, as for a command whose reply is on its way. */
  readonly awaited: boolean;
  /** The scope was cancelled: stop waiting. */
  onCancel(reason: unknown): void;
  /** The scope has ended and this is still there. Must leave at once. @returns what to report. */
  onEnd(): Error | undefined;
  describe(): TreeNode;
}

/** A belonging that its scope keeps to its end, and does not wait for. */
export interface Kept extends Belonging {
  /** The scope has ended, and with it whoever held this, as far as that is known. */
  onKeptToEnd(ending: Ending): void;
}
