import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

/** The library as programs in a child process can import it, for Node 20 runs no TypeScript: its folder. For one test file. */
export function useCompiled(): string {
  const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
  const root = join(import.meta.dirname, '../..');
  beforeAll(() => {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const options = ['-p', 'tsconfig.build.json', '--declaration', 'false', '--declarationMap', 'false', '--outDir', folder];
    execFileSync(process.execPath, [compiler, ...options], { cwd: root });
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}
