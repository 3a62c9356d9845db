import type { NameRow } from './messages.ts';

/** Sorts rows of names by one of their columns: numbers from the highest, texts by the alphabet. Equal ones by growth. */
export function sortedBy(rows: readonly NameRow[], column: keyof NameRow): readonly NameRow[] {
  const byName = [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
  return byName.sort((a, b) => compare(a[column], b[column]) || b.grown - a.grown || b.fresh - a.fresh || b.connections - a.connections);
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return b - a;
  return a === b ? 0 : a < b ? -1 : 1;
}
