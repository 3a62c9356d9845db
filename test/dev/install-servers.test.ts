import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs it with a PATH that has these programs alone. @returns what it says. */
async function run(servers: readonly string[], programs: Readonly<Record<string, string>>): Promise<string> {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const env = { PATH: `${bin}:/bin`, REDIS_URL: '' };
  const { stderr } = await promisify(execFile)(process.execPath, ['dev/install-servers.mjs', ...servers], { env });
  return stderr;
}

it('does nothing when every server is there', async () => {
  expect(await run(['redis', 'postgres', 'chromium'], { 'redis-server': '', postgres: '', chromium: '' })).toBe('');
});

it('knows what it can install', async () => {
  await expect(run(['mysql'], {})).rejects.toThrow('no server is called "mysql"; there are redis, postgres, chromium');
});
