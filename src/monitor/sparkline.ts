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
