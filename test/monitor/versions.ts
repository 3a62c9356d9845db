import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

const packages = join(import.meta.dirname, '../../node_modules');

/**
 * A copy of what `useCompiled` made, which finds another ioredis: aliases reach no child process.
 *
 * @param ioredis The folder of node_modules that holds it.
 */
export function useBeside(ioredis: 'ioredis-5', compiled: string): string {
  const folder = mkdtempSync(join(tmpdir(), `scoped-pool-${ioredis}-`));
  beforeAll(() => {
    // A link would be followed, and ioredis be looked for beside the original.
    for (const name of readdirSync(compiled).filter((each) => each !== 'node_modules'))
      cpSync(join(compiled, name), join(folder, name), { recursive: true });
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(realpathSync(join(packages, ioredis)), join(folder, 'node_modules/ioredis'));
    symlinkSync(join(packages, 'generic-pool'), join(folder, 'node_modules/generic-pool'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Both major versions of ioredis, each with the folder of the monitor that uses it. */
export function eachVersion(compiled: string): readonly (readonly [string, string])[] {
  return [
    ['ioredis 6', compiled],
    ['ioredis 5', useBeside('ioredis-5', compiled)],
  ];
}
