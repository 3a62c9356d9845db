import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A start-up snapshot is made of one script of CommonJS: the library, bundled as bundlers do it, without import.meta. */
function bundle(program: string): string {
  const out = join(folder, 'out');
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const format = ['--module', 'commonjs', '--moduleResolution', 'bundler', '--verbatimModuleSyntax', 'false', '--esModuleInterop'];
  // It also says that CommonJS has no import.meta, and writes it all the same.
  spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', ...format, '--declaration', 'false', '--outDir', out], { cwd: root });
  const modules = [...modulesIn(out, ''), ...modulesIn(join(root, 'node_modules/generic-pool'), '/generic-pool')];
  return `
    const { join, dirname } = require('path').posix;
    const modules = {${modules.map(([path, text]) => `${JSON.stringify(path)}: (module, exports, require) => {${text}\n}`).join(',\n')}};
    const loaded = {};
    const load = (path) => {
      if (loaded[path]) return loaded[path].exports;
      const module = loaded[path] = { exports: {} };
      const find = (name) => [name, name + '.js', name + '/index.js'].map((end) => join(dirname(path), end)).find((full) => modules[full]);
      modules[path](module, module.exports, (name) =>
        name === 'generic-pool' ? load('/generic-pool/index.js') : name.startsWith('.') ? load(find(name)) : require(name));
      return module.exports;
    };
    const { definePool, Scope, withRoot } = load('/index.js');
    const { addDeserializeCallback, setDeserializeMainFunction } = require('v8').startupSnapshot;
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    ${program}`;
}

function modulesIn(from: string, prefix: string): readonly (readonly [string, string])[] {
  const files = readdirSync(from, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^(?!redis|pubsub|monitor|integrations|testing).*\.js$/.test(file),
  );
  return files.map((file) => [
    `${prefix}/${relative(from, join(from, file))}`,
    readFileSync(join(from, file), 'utf8').replaceAll('import.meta', '({})'),
  ]);
}

/** Builds a snapshot and wakes it in two processes; what each says, as JSON. */
function wake(program: string): { readonly build: SpawnSyncReturns<string>; readonly answers: () => readonly unknown[] } {
  const [script, blob] = [join(folder, 'script.js'), join(folder, 'snapshot.blob')];
  writeFileSync(script, bundle(program));
  rmSync(blob, { force: true });
  const run = (...args: string[]) => spawnSync(process.execPath, ['--snapshot-blob', blob, ...args], { encoding: 'utf8', timeout: 20_000 });
  const build = run('--build-snapshot', script);
  const answers = () =>
    [run(), run()].map(({ stdout, stderr }) => {
      expect(stderr).toBe('');
      return JSON.parse(stdout) as unknown;
    });
  return { build, answers };
}

const POOL = `
  let made = 0;
  const create = () => ({ pid: process.pid, nth: ++made });
  const pool = definePool('p', { create, destroy: () => {}, idleTimeoutMs: 300, max: 2 });
  const use = () => pool.use(({ pid, nth }) => ({ mine: pid === process.pid, nth }));`;

/** As Node 24 does by itself: Node 20 can write no snapshot after an AsyncLocalStorage was entered. Soon, while the clock still ticks. */
const LEAVE = `setTimeout(() => globalThis[Symbol.for('scoped-pool')].storage.disable(), 3);`;

/** So that the clock of the build is ahead when the snapshot wakes. */
const SPIN = 'for (const end = performance.now() + 3_000; performance.now() < end; );';

/** Idle for longer than idleTimeoutMs; what it was before, what it is then. */
const OBSERVE = `
  const first = await use();
  await sleep(50);
  const { idleMs, ageMs } = pool.inspect().connections[0];
  for (let n = 0; n < 100 && pool.stats().open > 0; n++) await sleep(10);
  const { open, created, closedBy: { dead, idle } } = pool.stats();
  console.log(JSON.stringify({ first, rightly: idleMs > 20 && idleMs <= ageMs && ageMs < 2_000, open, created, dead, idle }));`;

describe('a start-up snapshot', () => {
  it('keeps the definition of a pool, which opens in whatever process wakes from it', () => {
    const { answers } = wake(`${POOL}${SPIN}
      setDeserializeMainFunction(() => withRoot(async () => {${OBSERVE}}));`);
    const answer = { first: { mine: true, nth: 1 }, rightly: true, open: 0, created: 1, dead: 0, idle: 1 };
    expect(answers()).toEqual([answer, answer]);
  });

  it('keeps no time of the process that a pool was used in before', () => {
    const { answers } = wake(`${POOL}${SPIN}
      withRoot(use);${LEAVE}
      setDeserializeMainFunction(() => withRoot(async () => {${OBSERVE}}));`);
    const answer = { first: { mine: true, nth: 2 }, rightly: true, open: 0, created: 1, dead: 0, idle: 1 };
    expect(answers()).toEqual([answer, answer]);
  });

  it('lends nothing that was opened before, in a root that is still open', () => {
    const { answers } = wake(`${POOL}${SPIN}
      Scope.process().run(use);${LEAVE}
      setDeserializeMainFunction(() => Scope.process().run(async () => {${OBSERVE}}));`);
    const answer = { first: { mine: true, nth: 2 }, rightly: true, open: 0, created: 2, dead: 1, idle: 1 };
    expect(answers()).toEqual([answer, answer]);
  });

  it.runIf(process.version.startsWith('v20.'))('cannot be written by Node 20 once a scope was entered', () => {
    const { build } = wake(`${POOL} withRoot(use);`);
    expect(build.stderr).toContain('Assertion failed: js_promise_hooks_');
  });
});
