import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { start } from './child.ts';

const root = join(import.meta.dirname, '../..');
const packages = join(root, 'node_modules');
const manifestOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

/** Whoever runs these tests by npm has its settings in the environment, which are not meant for the npm of these tests. */
const ENV = Object.fromEntries(Object.keys(process.env).flatMap((name) => (/^npm_/i.test(name) ? [[name, undefined]] : [])));
const npm = (cwd: string, ...args: readonly string[]) =>
  promisify(execFile)('npm', [...args, '--silent', '--offline', '--ignore-scripts'], { cwd, env: { ...process.env, ...ENV } });

/** The folder of a package and those of all that it needs, as npm has laid them here. */
function foldersOf(folder: string): readonly string[] {
  const needed = Object.keys(manifestOf(folder).dependencies ?? {}).map((name) =>
    [folder, root].map((each) => join(each, 'node_modules', name)).find((each) => existsSync(each)),
  );
  return [folder, ...needed.flatMap((each) => (each === undefined ? [] : foldersOf(each)))];
}

const compiled = useCompiled();
const redis = useRedis({ fresh: true });
const own = mkdtempSync(join(tmpdir(), 'scoped-pool-installed-'));
afterAll(() => rmSync(own, { recursive: true, force: true }));

/** Installs the package, in a folder of its own, beside others of our node_modules; nothing comes from the network. */
async function install(name: string, ...others: readonly string[]): Promise<void> {
  const folder = join(own, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const folders = ['generic-pool', ...others].flatMap((other) => foldersOf(join(packages, other)));
  await npm(folder, 'install', '--install-links', '--no-audit', '--no-fund', join(own, 'pack', 'scoped-pool.tgz'), ...folders);
}

/** `npx scoped-pool …` in that folder. */
function npx(name: string, ...args: readonly string[]) {
  return start('sh', ['-c', 'cd "$0" && exec npx --offline scoped-pool "$@"', join(own, name), ...args], ENV);
}

describe('the package, installed by npm from what npm packs', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    const pack = join(own, 'pack');
    const isOurs = (name: string) => name !== 'node_modules' && name !== 'package.json';
    for (const name of readdirSync(compiled).filter(isOurs)) cpSync(join(compiled, name), join(pack, 'dist', name), { recursive: true });
    for (const name of ['package.json', 'README.md', 'LICENSE']) cpSync(join(root, name), join(pack, name));
    await npm(pack, 'pack');
    cpSync(join(pack, `scoped-pool-${manifestOf(root).version}.tgz`), join(pack, 'scoped-pool.tgz'));
    await Promise.all([install('ioredis-6', 'ioredis'), install('ioredis-5', 'ioredis-5'), install('nothing')]);
  }, 120_000);

  it.each([
    ['ioredis-6', 'ioredis'],
    ['ioredis-5', 'ioredis-5'],
  ])('watches a server, beside %s', async (name, alias) => {
    expect(manifestOf(join(own, name, 'node_modules/ioredis')).version).toBe(manifestOf(join(packages, alias)).version);
    const once = npx(name, 'monitor', redis().url, '--once');
    expect([await once.ended, once.stdout()]).toEqual([
      0,
      expect.stringMatching(/^scoped-pool monitor .*\nclients 2\/.*\n\nname (?:.*\n)+sp:monitor:/),
    ]);
    const help = npx(name, 'monitor', '--help');
    expect([await help.ended, help.stdout()]).toEqual([0, expect.stringMatching(/^usage: scoped-pool monitor /)]);
  });

  it('says what to install when there is no ioredis', async () => {
    expect(existsSync(join(own, 'nothing/node_modules/ioredis'))).toBe(false);
    const child = npx('nothing', 'monitor', redis().url, '--once');
    expect([await child.ended, child.stdout()]).toEqual([3, '']);
    expect(child.stderr()).toMatch(/^scoped-pool monitor: ioredis is not installed.*npm install ioredis\n$/m);
  });
});
