import { type ChildProcessWithoutNullStreams, execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** As `useExamples`, with one of their pages. */
export function useExampleWithPage(page: string): string {
  const build = useExamples();
  beforeAll(() => copyFileSync(join(root, page), join(build, page)));
  return build;
}

/** Builds the examples for one test file, the library, and what starts them. @returns the folder. */
export function useExamples(): string {
  // In the repository, so that what is compiled finds its packages.
  const build = join(root, '.cache', `example-test-${process.pid}-${Date.now()}`);
  beforeAll(() => {
    execFileSync('npx', ['tsc', '-p', 'tsconfig.tools.json', '--outDir', build], { cwd: root });
    const { name, type, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8').replaceAll('./dist/', './src/'));
    writeFileSync(join(build, 'package.json'), JSON.stringify({ name, type, exports }));
  }, 120_000);
  afterAll(() => rmSync(build, { recursive: true, force: true }));
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
