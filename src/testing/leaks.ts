import { after, now } from '../clock.ts';
import { shared } from '../context.ts';
import { type HolderFacts, LeaksFoundError } from '../errors.ts';
import { type Check, checkOptions, duration } from '../options.ts';
import type { Engine } from '../pool/engine.ts';
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
    const pools = poolsOf(root);
    const leased = leasesIn(root.tree(), '', new Sites(pools));
    return isBelow(mine, root) ? leased : [rootLine(root), ...leased, ...pools.flatMap(connectionLine)];
  });
}

/** Whether `root` is around the scope; an isolated scope has pools of its own, so `scope.root` may lie between. */
function isBelow(scope: Scope | undefined, root: Scope): boolean {
  for (let above: Scope | null | undefined = scope; above; above = above.parent) if (above === root) return true;
  return false;
}

function poolsOf(root: Scope): Engine<unknown>[] {
  return [...shared.pools.values()].flatMap((pool) => (root.single(pool) as Engine<unknown> | undefined) ?? []);
}

function rootLine(root: Scope): string {
  const { name, state, ageMs } = root.tree();
  return `root scope "${name}", ${state}, since ${ms(ageMs)}`;
}

function connectionLine({ name, root, scheduler }: Engine<unknown>): string[] {
  return scheduler.open === 0 ? [] : [`pool "${name}" of root scope "${root.name}": connections open: ${scheduler.open}`];
}

/** A line for each lease and waiter below a node. @param above Where the node is. */
function leasesIn(node: TreeNode, above: string, sites: Sites): string[] {
  const path = `${above}${above && ' > '}"${node.name}"`;
  return node.children.flatMap((child) => {
    if (child.kind !== 'lease' && child.kind !== 'waiter') return leasesIn(child, path, sites);
    const what = child.kind === 'lease' ? 'lease of' : 'acquire that waits for';
    return `${what} pool "${child.name}" in scope ${path}, ${child.state}, for ${ms(child.ageMs)}, since ${sites.take(child, node.name)}`;
  });
}

/** Lines of code that acquired what a root holds. A tree does not show them, and a pool does not know where in the tree. */
class Sites {
  readonly #known: { readonly pool: string; readonly facts: HolderFacts }[];

  constructor(pools: readonly Engine<unknown>[]) {
    this.#known = pools.flatMap(({ name, scheduler: { slots, waiters } }) => {
      const holders = [...slots].flatMap(({ holder, sharers }) => (holder ? [holder] : [...sharers]));
      const leases = [...holders, ...[...waiters].map(({ lease }) => lease)];
      return leases.map((lease) => ({ pool: name, facts: lease.facts() }));
    });
  }

  /** The line of the lease that comes nearest in age; each is given once. */
  take({ name, ageMs, state }: TreeNode, scope: string): string {
    const alike = this.#known.filter(({ pool, facts }) => {
      return pool === name && facts.scope === scope && facts.exclusive === state.startsWith('exclusive');
    });
    const distance = (known: { readonly facts: HolderFacts }) => Math.abs(known.facts.heldMs - ageMs);
    const [nearest] = alike.sort((a, b) => distance(a) - distance(b));
    if (nearest) this.#known.splice(this.#known.indexOf(nearest), 1);
    return nearest?.facts.site ?? 'a line that was not sampled';
  }
}

function ms(time: number): string {
  return `${Math.round(time)} ms`;
}
