import type { Linked } from '../list.ts';
import type { Ending } from './kept.ts';

/** What a scope shows of something it owns. */
export interface TreeNode {
  readonly name: string;
  readonly kind: 'root' | 'scope' | 'task' | 'background' | 'resource' | 'lease' | 'waiter';
  readonly state: string;
  /** Milliseconds since it was opened. */
  readonly ageMs: number;
  readonly children: readonly TreeNode[];
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
