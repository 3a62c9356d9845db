import type { Figures } from './judge.ts';

interface Column {
  readonly title: string;
  readonly cell: (figures: Figures) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'BullMQ', cell: ({ bullmq }) => String(bullmq) },
  { title: 'opened', cell: ({ opened }) => String(opened) },
  { title: 'peak', cell: ({ peak }) => String(peak) },
  { title: 'limit', cell: ({ limit }) => String(limit ?? '-') },
  { title: '  jobs', cell: ({ jobs }) => String(jobs) },
  { title: 'jobs/s', cell: ({ jobsPerSecond }) => jobsPerSecond.toFixed(0) },
  { title: 'p50 ms', cell: ({ p50Ms }) => p50Ms.toFixed(2) },
  { title: 'p99 ms', cell: ({ p99Ms }) => p99Ms.toFixed(2) },
  { title: 'verdict', cell: ({ verdict }) => verdict },
];

/** Lines of a table of phases, none without phases; 80 wide as long as its numbers stay in their columns. */
export function table(phases: readonly Figures[]): readonly string[] {
  if (phases.length === 0) return [];
  const width = Math.max(...phases.map(({ name }) => name.length));
  const titles = COLUMNS.map(({ title }) => title);
  const cellsOf = (phase: Figures) => COLUMNS.map(({ title, cell }) => cell(phase).padStart(title.length));
  const rows = [['', ...titles], ...phases.map((phase) => [phase.name, ...cellsOf(phase)])];
  return rows.map(([name = '', ...cells]) => [name.padEnd(width), ...cells].join(' '));
}
