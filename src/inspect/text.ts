import { basename } from 'node:path';
import { printable, printablePlace } from '../printable.ts';
import type { TreeNode } from '../scope/index.ts';
import { ageText } from './age.ts';
import type { LeakFacts } from './leaks.ts';
import type { OpeningFacts } from './openings.ts';
import { inspectProcess, type PoolReport, type ProcessInspection, type RootInspection } from './process.ts';

/**
 * What this process has open, as text for people: every root scope with its pools, and below it what runs, waits and is
 * held there, each with its state and age, and leases with the line of code that acquired them, where it was sampled.
 */
export function scopesText(inspection: ProcessInspection = inspectProcess()): string {
  const { version, pid, thread, script, uptimeMs, roots, openings, leaks } = inspection;
  const title = `scoped-pool ${version}, process ${pid}${thread === 0 ? '' : `, thread ${thread}`}, ${basename(printable(script))}, ${age(uptimeMs)}`;
  const lines = roots.length === 0 ? ['no scope is open'] : roots.flatMap(linesOfRoot);
  return [title, ...lines, ...leaks.map(leakLine), ...openings.map(openingLine)].map((line) => `${line}\n`).join('');
}

function linesOfRoot({ tree, pools }: RootInspection): readonly string[] {
  const [first = '', ...below] = linesOf(tree, '');
  return [first, ...pools.map((pool) => `  ${poolLine(pool, tree)}`), ...below];
}

function linesOf({ kind, name, state, ageMs, site, children, more }: TreeNode, indent: string): readonly string[] {
  const at = site === undefined ? '' : `, at ${printablePlace(site)}`;
  const below = children.flatMap((child) => linesOf(child, `${indent}  `));
  const rest = more === undefined ? [] : [`${indent}  and ${more} more`];
  return [`${indent}${kind} ${printable(name)}, ${state}, ${age(ageMs)}${at}`, ...below, ...rest];
}

function poolLine({ pool, scope, stats, health }: PoolReport, { name }: TreeNode): string {
  const { inUse, max, idle, creating, pending, leaked } = stats;
  const facts = [`${inUse} of ${max} in use`, `${idle} idle`, `${creating} being made`, `${pending} waiting`, `${leaked} leaked`];
  const failed = health.error === undefined ? '' : `: ${printable(health.error)}`;
  const owner = scope === name ? '' : ` of ${printable(scope)}`;
  return `pool ${printable(pool)}${owner}, ${health.state}${failed}, ${facts.filter((fact) => !/^0 (?:being|waiting|leaked)/.test(fact)).join(', ')}`;
}

function openingLine({ site, opened, grown, server }: OpeningFacts): string {
  return `without a pool: ${opened} opened${growth(grown)} to ${printable(server)}, at ${printablePlace(site)}`;
}

function leakLine({ pool, site, leaked, grown }: LeakFacts): string {
  const where = site === undefined ? 'a line that was not sampled' : printablePlace(site);
  return `leaked: ${leaked}${growth(grown)} of pool ${printable(pool)}, at ${where}`;
}

function growth(grown: number): string {
  return grown === 0 ? '' : ` (+${grown} in 10 s)`;
}

function age(ms: number): string {
  return `for ${ageText(ms / 1_000)}`;
}
