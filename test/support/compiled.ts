import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** The library as programs in a child process can import it, for Node 20 runs no TypeScript: its folder. For one test file. */
export function useCompiled(): string {
  const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
  beforeAll(() => {
    compile('tsconfig.build.json', '--declarationMap', 'false', '--outDir', folder);
    const { name, type, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8').replaceAll('./dist/', './'));
    // Programs in the folder may import the library by its name.
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, type, exports }));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Compiles one example into the folder of `useCompiled`, beside the library that it imports. @returns the file. */
export function compileExample(folder: string, name: string): string {
  const project = join(folder, 'tsconfig.example.json');
  const [examples, outDir] = [join(root, 'examples'), join(folder, 'examples')];
  const compilerOptions = { rootDir: examples, outDir, noEmit: false, noCheck: true, types: [], paths: {} };
  const files = [join(examples, name)];
  writeFileSync(project, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, files, include: [] }));
  compile(project);
  return join(outDir, name.replace(/\.ts$/, '.js'));
}

function compile(project: string, ...options: string[]): void {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', project, '--declaration', 'false', ...options], { cwd: root });
}
