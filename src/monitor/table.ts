/** A line of a picture, and how it is painted. */
export interface Line {
  readonly text: string;
  readonly style?: 'bold' | 'dim' | 'red' | 'green' | 'yellow';
}

/** A column: its head, how wide it is, and what stands in it of a row. */
export interface Column<Row> {
  readonly head: string;
  /** In characters; a negative one is the least of the column that gets what is left. */
  readonly width: number;
  readonly cell: (row: Row, width: number) => string;
}

/** A column of figures, which stand to the right. */
export function figures<Row>(head: string, width: number, cell: (row: Row) => string | number): Column<Row> {
  return { head: head.padStart(width), width, cell: (row) => `${cell(row)}`.padStart(width) };
}

/** A column of texts; one that is too long shows how it begins and ends, by which they are told apart. */
export function texts<Row>(head: string, width: number, cell: (row: Row) => string): Column<Row> {
  return { head, width, cell: (row, wide) => shortened(cell(row), wide) };
}

/** What a table may take up. */
export interface Room {
  readonly columns: number;
  readonly rows: number;
}

const GAP = '  ';

/** A table with its head. @param more What those are that find no room. */
export function tableOf<Row>(all: readonly Row[], columns: readonly Column<Row>[], room: Room, more: string): readonly Line[] {
  const taken = columns.reduce((sum, { width }) => sum + Math.max(0, width) + GAP.length, -GAP.length);
  const wide = columns.map(({ width }) => (width < 0 ? Math.max(-width, room.columns - taken) : width));
  const line = (cells: readonly string[]) => cells.join(GAP);
  const head = { text: line(columns.map(({ head }, index) => head.padEnd(wide[index] ?? 0))), style: 'bold' } as const;
  const fitting = all.length < room.rows ? all : all.slice(0, Math.max(0, room.rows - 2));
  const body = fitting.map((row) => ({ text: line(columns.map(({ cell }, index) => cell(row, wide[index] ?? 0))) }));
  const left = all.length - fitting.length;
  return [head, ...body, ...(left === 0 ? [] : [{ text: `and ${left} ${more} more`, style: 'dim' } as const])];
}

function shortened(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width);
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}
