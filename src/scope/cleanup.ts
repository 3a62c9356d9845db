import { now, within } from '../clock.ts';
import { ScopeTimeoutError } from '../errors.ts';
import type { Room, TreeNode } from './belonging.ts';
import type { Lifetime } from './lifetime.ts';
import { AT_ONCE } from './options.ts';

/** Default of the time one stop may take. */
export const STOP_TIMEOUT_MS = 5_000;

/** Something to be stopped when the scope closes. */
export interface Closer {
  readonly name: string;
  readonly timeoutMs: number;
  readonly openedAt: number;
  /** The scope in which the resource was started and in which its callbacks run. */
  readonly inner: Lifetime | undefined;
  close(): unknown;
}

/** Settings of `scope.onClose` and of `scope.open`. */
export interface CloserOptions {
  /** Shown in errors and in `scope.tree()`. Default: the name of the function. */
  readonly name?: string;
  /** How long the stop may take, in milliseconds, before it is named in an error and passed over. Default 5,000. */
  readonly timeoutMs?: number;
}

/** What can be shown in the tree of its scope. */
interface Shown {
  describe(room: Room): TreeNode;
}

/** What a scope has to undo: newest first, one at a time, all of it. */
export class Cleanup {
  #closers: Closer[] | undefined;

  get isEmpty(): boolean {
    return !this.#closers?.length;
  }

  add(closer: Closer): void {
    this.#closers ??= [];
    this.#closers.push(closer);
  }

  remove(closer: Closer): void {
    const place = this.#closers?.lastIndexOf(closer) ?? -1;
    if (place >= 0) this.#closers?.splice(place, 1);
  }

  get scopes(): readonly Lifetime[] {
    return (this.#closers ?? []).flatMap(({ inner }) => inner ?? []);
  }

  cancel(reason: unknown): void {
    for (const { inner } of [...(this.#closers ?? [])].reverse()) inner?.stop(reason);
  }

  /** @returns what failed. */
  async unwind(owner: Owner): Promise<unknown[]> {
    const errors: unknown[] = [];
    // A closer may add closers: take the newest until none is left.
    for (let closer = this.#closers?.at(-1); closer; closer = this.#closers?.at(-1)) {
      // One at a time: what was opened later may stand on what was opened before.
      await stop(closer, owner).catch((error: unknown) => errors.push(error));
      this.remove(closer);
    }
    return errors;
  }

  /** What was opened, as it is shown; functions that are called at the end are not. */
  get resources(): readonly Shown[] {
    return (this.#closers ?? []).flatMap(({ inner, openedAt }) =>
      inner ? { describe: (room) => resourceNode(inner, openedAt, room) } : [],
    );
  }
}

function resourceNode(inner: Lifetime, openedAt: number, room: Room): TreeNode {
  return { ...inner.describe(room), kind: 'resource', state: 'open', ageMs: now() - openedAt };
}

/** What the clean-up needs of its scope. */
export interface Owner {
  readonly name: string;
  /** Runs a closer in the context of the scope. */
  enter<R>(fn: () => R): R;
  report(error: unknown, from: string): void;
}

async function stop(closer: Closer, owner: Owner): Promise<void> {
  const { name, timeoutMs, inner } = closer;
  const stopping = owner.enter(async () => closer.close());
  const stopped = stopping.then(() => {});
  if ((await within(stopped, timeoutMs)) !== 'late') return;
  stopping.catch((error: unknown) => owner.report(error, name));
  await inner?.close(AT_ONCE).catch((error: unknown) => owner.report(error, name));
  throw new ScopeTimeoutError(owner.name, [`stop of ${name}`], timeoutMs);
}
