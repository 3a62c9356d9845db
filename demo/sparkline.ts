import type { Sample } from './judge.ts';

const BLOCKS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** How a sparkline is drawn. */
export interface Scale {
  /** In lines. */
  readonly height: number;
  /** The value that fills a column; a higher one in the line takes its place. */
  readonly top: number;
}

/** Draws values as columns of blocks, line by line from the top down. */
export function sparkline(values: readonly number[], { height, top: least }: Scale): readonly string[] {
  const steps = height * (BLOCKS.length - 1);
  const top = Math.max(1, least, ...values);
  // What is not zero is to be seen.
  const columns = values.map((value) => (value > 0 ? Math.max(1, Math.round((value / top) * steps)) : 0));
  return Array.from({ length: height }, (_, line) => columns.map((filled) => blockAt(filled, height - 1 - line)).join(''));
}

function blockAt(filled: number, line: number): string {
  const most = BLOCKS.length - 1;
  return BLOCKS[Math.min(most, Math.max(0, filled - line * most))] ?? ' ';
}

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
