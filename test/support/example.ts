import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { useTools } from './compiled.ts';

const root = join(import.meta.dirname, '../..');

/** As `useExamples`, with one of their pages. */
export function useExampleWithPage(page: string): string {
  const build = useExamples();
  beforeAll(() => copyFileSync(join(root, page), join(build, page)));
  return build;
}

/** Builds the examples for one test file, the library, and what starts them. @returns the folder. */
export function useExamples(): string {
  const build = useTools();
  beforeAll(() => {
    const { name, type, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8').replaceAll('./dist/', './src/'));
    writeFileSync(join(build, 'package.json'), JSON.stringify({ name, type, exports }));
  });
  return build;
}

/** What a process has written so far. */
export function saidBy(child: ChildProcessWithoutNullStreams): { readonly output: string; readonly errors: string } {
  const said = { output: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.errors += text;
  });
  return said;
}
