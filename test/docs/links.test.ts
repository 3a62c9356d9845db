import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { anchorsOf, GUIDES, linksOf, read, root } from './markdown.ts';

const PAGES = [...GUIDES, 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/architecture.md', 'docs/errors.md', 'docs/events.md', 'docs/monitor.md'];

describe.each(PAGES)('%s', (page) => {
  const text = read(page);

  it('links to what exists', () => {
    const broken = linksOf(text).filter((link) => {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page : join(dirname(page), file);
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(read(target)).has(anchor);
    });
    expect(broken).toEqual([]);
  });

  it('names files that exist', () => {
    const named = [...text.matchAll(/`((?:src|test|dev|demo|bench|docs|examples)\/[\w./-]+\.\w+)`/g)].map(({ 1: file = '' }) => file);
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  it('names every folder of src', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of folders) expect(read('docs/architecture.md')).toContain(name);
  });
});

describe('README.md', () => {
  it('links to every page of docs', () => {
    const pages = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'));
    const linked = linksOf(read('README.md')).map((link) => link.split('#')[0]);
    expect(linked).toEqual(expect.arrayContaining(pages.map((page) => `docs/${page}`)));
  });

  it('says before its first code how to find the line that opens connections', () => {
    const [first = ''] = read('README.md').split('```ts');
    expect(first).toContain('node --import scoped-pool/inspect/register app.js');
    expect(first).toContain('npx scoped-pool monitor');
    expect(linksOf(first)).toContain('docs/monitor.md');
  });

  it('names every entry of the package', () => {
    const entries = Object.keys(JSON.parse(read('package.json')).exports).filter((entry) => entry !== './package.json');
    for (const entry of entries) expect(read('README.md')).toContain(`'${entry.replace('.', 'scoped-pool')}'`);
  });

  it('names only scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const named = [...read('README.md').matchAll(/npm run ([\w:-]+)/g)].map(({ 1: script = '' }) => script);
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});
