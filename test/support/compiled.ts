import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

const root = join(import.meta.dirname, '../..');
const HOUR_MS = 3_600_000;

/** The library as programs in a child process can import it, for Node 20 runs no TypeScript: its folder. For one test file. */
export function useCompiled(): string {
  const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
  beforeAll(() => {
    cpSync(compiledOnce('tsconfig.build.json', ['src']), folder, { recursive: true });
    const { name, type, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8').replaceAll('./dist/', './'));
    // Programs in the folder may import the library by its name.
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, type, exports }));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Benches, demo and examples with the library that they import, for Node 20 runs no TypeScript: their folder. For one test file. */
export function useTools(): string {
  // In the repository, so that what is compiled finds its packages.
  const folder = join(root, '.cache', `tools-${process.pid}-${Date.now()}`);
  beforeAll(() => {
    cpSync(compiledOnce('tsconfig.tools.json', ['src', 'bench', 'demo', 'dev', 'examples']), folder, { recursive: true });
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The sources as they are now, compiled: for all files of tests, which want the same, only the first compiles. */
function compiledOnce(project: string, folders: readonly string[]): string {
  const sources = folders
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((each) => each.isFile());
  const hash = createHash('sha256').update(process.version);
  for (const { parentPath, name } of sources) hash.update(join(parentPath, name)).update(readFileSync(join(parentPath, name)));
  for (const name of ['tsconfig.json', project]) hash.update(name).update(readFileSync(join(root, name)));
  const caches = join(root, '.cache/compiled', project);
  const cached = join(caches, hash.digest('hex').slice(0, 16));
  if (existsSync(cached)) return cached;
  mkdirSync(caches, { recursive: true });
  for (const old of readdirSync(caches).map((name) => join(caches, name))) {
    // Not those that another run may be about to copy.
    const { mtimeMs = Date.now() } = statSync(old, { throwIfNoEntry: false }) ?? {};
    if (Date.now() - mtimeMs > HOUR_MS) rmSync(old, { recursive: true, force: true });
  }
  const fresh = mkdtempSync(join(caches, 'fresh-'));
  compile(project, '--declarationMap', 'false', '--outDir', fresh);
  try {
    renameSync(fresh, cached);
  } catch {
    // Another one was quicker.
    rmSync(fresh, { recursive: true });
  }
  return cached;
}

/** As `useCompiled`, with the page of the monitor beside it. */
export function useCompiledPage(): string {
  const folder = useCompiled();
  beforeAll(() => {
    compile('tsconfig.page.json', '--outDir', join(folder, 'monitor/web/page'));
    execFileSync(process.execPath, [join(root, 'dev/copy-page.mjs'), folder], { cwd: root });
  });
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
