/** Heap and sockets at one time of a run. */
export interface Level {
  /** What the process keeps, in millions of bytes. */
  readonly heapMb: number;
  readonly sockets: number;
}

/** What a run is judged by. */
export interface Findings {
  /** Each must be 0. */
  readonly zeros: Readonly<Record<string, number>>;
  /** Most connections that were open at a time. */
  readonly maxOpen: number;
  readonly limit: number;
  /** Under load, after a quarter of the time. */
  readonly early: Level;
  /** When all is over and healed. */
  readonly late: Level;
}

/** A heap that grows by less than this says nothing: code that was compiled meanwhile, tables that have grown. */
const HEAP_MB = 10;

/** What was not kept; nothing when all was. */
export function failureOf({ zeros, maxOpen, limit, early, late }: Findings): string | undefined {
  const wrong = Object.entries(zeros).flatMap(([name, count]) => (count === 0 ? [] : [`${name}: ${count}`]));
  if (maxOpen > limit) wrong.push(`maxOpen above ${limit}: ${maxOpen}`);
  if (late.sockets > limit) wrong.push(`sockets above ${limit}: ${late.sockets}`);
  if (late.heapMb > early.heapMb * 1.5 + HEAP_MB) wrong.push(`heapMb grew from ${early.heapMb} to ${late.heapMb}`);
  return wrong.length === 0 ? undefined : wrong.join(', ');
}
