import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
/** The package as it is installed: compiled code in dist, whose source maps lead to src. */
const installed = mkdtempSync(join(tmpdir(), 'scoped-pool-maps-'));

beforeAll(() => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['--outDir', join(installed, 'dist'), '--sourceMap', '--sourceRoot', join(installed, 'src/'), '--declaration', 'false'];
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', ...options, '--declarationMap', 'false'], { cwd: root });
  mkdirSync(join(installed, 'app'));
  writeFileSync(join(installed, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
});
afterAll(() => rmSync(installed, { recursive: true }));

describe.each([['--enable-source-maps'], ['--no-warnings']])('under node %s', (flag) => {
  it('the line that acquired, waits or defines is the line of the user, not of the library', () => {
    const app = join(installed, 'app/main.js');
    writeFileSync(
      app,
      `import { definePool, withRoot } from '../dist/index.js';
       const pool = definePool('p', { max: 1, acquireTimeoutMs: 20, create: () => ({}) });
       await withRoot(async () => {
         await pool.acquire();
         const error = await pool.acquire().catch((reason) => reason);
         console.log(JSON.stringify([error.facts.holders[0].site, pool.site]));
       }, { onSuppressed: () => {} }).catch(() => {});`,
    );
    const printed = execFileSync(process.execPath, [flag, app], { encoding: 'utf8' });
    for (const site of JSON.parse(printed) as string[]) expect(site).toMatch(/app\/main\.js:\d+:\d+$/);
  });
});
