import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../src/context.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));

/** The source that tsconfig.build.json compiles to a file of the package. */
const sourceOf = (file: string) => file.replace(/^\.\/dist\//, 'src/').replace(/(?:\.d\.ts|\.js)$/, '.ts');

/** All files that are or could be committed. */
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .trimEnd()
  .split('\n')
  .filter((file) => existsSync(join(root, file)));

describe('package.json', () => {
  const entries = Object.entries<string | Record<string, string>>(manifest.exports).filter(([, target]) => typeof target !== 'string');

  it.each(entries)('exports %s from a file that the build makes', (_, target) => {
    const { types, default: code, ...others } = Object(target);
    expect(others).toEqual({});
    expect([types, code].map(sourceOf)).toEqual([sourceOf(code), sourceOf(code)]);
    expect(files).toContain(sourceOf(code));
  });

  it('exports every integration', () => {
    const integrations = files.filter((file) => /^src\/integrations\/[^/]+\/index\.ts$/.test(file));
    const exported = entries.map(([, target]) => sourceOf(Object(target).default));
    expect(exported).toEqual(expect.arrayContaining(integrations));
  });

  it('has programs that the build makes, and that a shell can start', () => {
    expect(Object.keys(manifest.bin)).toEqual(['scoped-pool']);
    for (const file of Object.values<string>(manifest.bin)) expect(read(sourceOf(file))).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it('has the version that the code and the changelog have', () => {
    expect(manifest.version).toBe(VERSION);
    expect(read('CHANGELOG.md')).toContain(`## [${VERSION}]`);
  });

  it('needs nothing at run time but the ledger, and names what is optional', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['generic-pool']);
    expect(Object.keys(manifest.peerDependenciesMeta)).toEqual(Object.keys(manifest.peerDependencies));
  });

  it('publishes files that exist, dist apart', () => {
    expect(manifest.files.filter((file: string) => file !== 'dist' && !existsSync(join(root, file)))).toEqual([]);
  });
});

// Written in pieces, so that this file passes, too.
const MACHINE_PATH = new RegExp(
  `(?<![\\w.@$}-])/(?:${['wo' + 'rk', 'ro' + 'ot', 't' + 'mp', 'ho' + 'me', 'Us' + 'ers'].join('|')})/[\\w.]`,
);
const REGISTRY = new RegExp(['registry\\.[a-z]', 'npmjs\\.' + 'org', '"resol' + 'ved": "http'].join('|'));
const DIARY = new RegExp(`\\b(?:${['sess' + 'ions?', '(?<!http\\.|user-)ag' + 'ents?(?!: sockets)', 'work' + 'place'].join('|')})\\b`);

describe('every file of the repository', () => {
  const texts = files.filter((file) => !/\.(?:png|svg|gif|ico)$/.test(file)).map((file) => [file, read(file)] as const);
  const linesWith = (pattern: RegExp, skip?: string) =>
    texts.flatMap(([file, text]) =>
      file === skip ? [] : text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
    );

  it.each([MACHINE_PATH, REGISTRY])('has nothing in it that holds on one machine alone: %s', (pattern) => {
    expect(linesWith(pattern)).toEqual([]);
  });

  it('speaks of the product, not of how it came to be', () => {
    expect(linesWith(DIARY, 'package-lock.json')).toEqual([]);
  });

  it('is searched with patterns that find something', () => {
    expect('see /' + 'tmp/x').toMatch(MACHINE_PATH);
    expect('../ro' + 'ot/x').not.toMatch(MACHINE_PATH);
    expect('https://registry.' + 'example.com').toMatch(REGISTRY);
    expect('in this sess' + 'ion').toMatch(DIARY);
  });
});
