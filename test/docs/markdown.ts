import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the repository. */
export const root = join(import.meta.dirname, '../..');

/** What teaches the library: the code of these pages is run, and their tables of options are those of the types. */
export const GUIDES = [
  'README.md',
  'docs/workers.md',
  'docs/redis.md',
  'docs/pools.md',
  'docs/http.md',
  'docs/pubsub.md',
  'docs/sources.md',
  'docs/inspect.md',
  'docs/metrics.md',
];

/** A file of the repository, as text. */
export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** A fenced block of code. */
export interface Block {
  readonly language: string;
  readonly code: string;
  /** The line of its file on which it begins. */
  readonly line: number;
  /** The heading it stands below. */
  readonly heading: string;
}

export function blocksOf(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: code = '', index }) => {
    const above = markdown.slice(0, index);
    return { language, code, line: above.split('\n').length, heading: [...above.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? '' };
  });
}

/** A table: its cells by row, the head left out, without the backquotes. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function tablesOf(markdown: string): readonly Table[] {
  return [...markdown.matchAll(/^\|.*\|\n\|[-| ]+\|\n(?:\|.*\|\n?)*/gm)].map(([text]) => {
    const [head = [], , ...rows] = text.trimEnd().split('\n').map(cellsOf);
    return { head, rows };
  });
}

function cellsOf(line: string): readonly string[] {
  const cells = line.split('|').slice(1, -1);
  return cells.map((cell) => cell.trim().replaceAll('`', ''));
}

/** The anchors that GitHub gives to the headings of a file. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(({ 1: heading = '' }) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Targets of links that stay in the repository, as written. */
export function linksOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map(({ 1: target = '' }) => target).filter((target) => !/^[a-z]+:/.test(target));
}
