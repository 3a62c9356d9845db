import type { Sample } from './judge.ts';

/** Spreads samples over columns of equal time, as far as the samples reach: each shows what was opened by its end. */
export function columnsOf(samples: readonly Sample[], durationMs: number, width: number): readonly number[] {
  const columns: number[] = [];
  for (const { atMs, opened } of samples) {
    const column = Math.min(width - 1, Math.floor((atMs / durationMs) * width));
    // A column that no sample fell into shows the one before it.
    while (columns.length < column) columns.push(columns.at(-1) ?? 0);
    columns[column] = opened;
  }
  return columns;
}
