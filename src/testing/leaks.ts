import { after, now } from '../clock.ts';
import { shared } from '../context.ts';
import { LeaksFoundError } from '../errors.ts';
import { type Check, checkOptions, duration } from '../options.ts';
import type { Engine } from '../pool/engine.ts';
import { enginesBelow } from '../pool/engines.ts';
import { type Scope, type TreeNode, tryCurrentScope } from '../scope/index.ts';

/** Settings of `expectNoLeaks`. */
export interface NoLeaksOptions {
  /** Names of root scopes that may be open, with all that is in them. Default: none. */
  readonly allow?: readonly string[] | undefined;
  /** How long to wait for what is ending already, in milliseconds. Default 500. */
  readonly graceMs?: number | undefined;
}

const PAUSE_MS = 10;
const isNames: Check = (value) =>
  Array.isArray(value) && value.every((name) => typeof name === 'string') ? undefined : 'an array of names of root scopes';
const CHECKS = { allow: isNames, graceMs: duration() } satisfies Record<keyof NoLeaksOptions, unknown>;

/**
 * Asserts that nothing of this library is open in the process: no root scope, lease, acquire that waits or connection.
 * The root it is called in may be open and keep connections; what is leased there may not be.
 *
 * @throws LeaksFoundError that names each, its age and, where it is known, the line of code that acquired it.
 */
export async function expectNoLeaks(options: NoLeaksOptions = {}): Promise<void> {
  checkOptions('expectNoLeaks()', options, CHECKS);
  const { allow = [], graceMs = 500 } = options;
  const deadline = now() + graceMs;
  for (;;) {
    const leaks = findLeaks(new Set(allow));
    if (leaks.length === 0) return;
    if (now() >= deadline) throw new LeaksFoundError(leaks);
    await new Promise<void>((resolve) => void after(PAUSE_MS, resolve));
  }
}

function findLeaks(allowed: ReadonlySet<string>): string[] {
  const mine = tryCurrentScope();
  return [...(shared.roots as Set<Scope>)].flatMap((root) => {
    if (allowed.has(root.name)) return [];
    const leased = leasedIn(root);
    return isBelow(mine, root) ? leased : [rootLine(root), ...leased, ...enginesBelow(root).flatMap(connectionLine)];
  });
}

/** Whether `root` is around the scope; an isolated scope has pools of its own, so `scope.root` may lie between. */
function isBelow(scope: Scope | undefined, root: Scope): boolean {
  for (let above: Scope | null | undefined = scope; above; above = above.parent) if (above === root) return true;
  return false;
}

function rootLine(root: Scope): string {
  const { name, state, ageMs } = root.tree();
  return `root scope "${name}", ${state}, since ${ms(ageMs)}`;
}

function connectionLine({ name, root, scheduler }: Engine<unknown>): string[] {
  return scheduler.open === 0 ? [] : [`pool "${name}" of root scope "${root.name}": connections open: ${scheduler.open}`];
}

/** A line for each lease and waiter below a root. */
function leasedIn(root: Scope): string[] {
  return leasesBelow(root.tree(), '').map(({ node, path }) => leaseLine(node, path));
}

interface Leased {
  readonly node: TreeNode;
  /** Names of the scope it is held in and of all above. */
  readonly path: string;
}

function leasesBelow({ name, children }: TreeNode, above: string): Leased[] {
  const path = `${above}${above && ' > '}"${name}"`;
  return children.flatMap((node) => (isLease(node) ? [{ node, path }] : leasesBelow(node, path)));
}

function isLease({ kind }: TreeNode): boolean {
  return kind === 'lease' || kind === 'waiter';
}

function leaseLine({ kind, name, state, ageMs, site }: TreeNode, path: string): string {
  const what = kind === 'lease' ? 'lease of' : 'acquire that waits for';
  return `${what} pool "${name}" in scope ${path}, ${state}, for ${ms(ageMs)}, since ${site ?? 'a line that was not sampled'}`;
}

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}
