import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Runs Vitest, with one more try each, on tests that throw these the first time; `undefined` throws nothing. */
function run(firstTries: readonly (string | undefined)[]): { readonly code: number | null; readonly said: string } {
  // Below the project, whose Vitest its files import.
  mkdirSync(join(root, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(root, '.cache/second-tries-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const tests = firstTries.map(
    (message, place) => `
    it('number ${place}', () => {
      if (${message !== undefined} && !tried.has(${place})) { tried.add(${place}); throw new Error(${JSON.stringify(message)}); }
    });`,
  );
  writeFileSync(join(folder, 'some.test.ts'), `import { it } from 'vitest';\nconst tried = new Set();\n${tests.join('\n')}`);
  const config = `import { SecondTries } from '${join(root, 'test/support/second-tries.ts')}';
    export default { test: { retry: 1, reporters: [new SecondTries()] } };`;
  writeFileSync(join(folder, 'vitest.config.ts'), config);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const { status, stderr } = spawnSync(process.execPath, [vitest, 'run', '--root', folder], { encoding: 'utf8', env: withoutVitest() });
  return { code: status, said: stderr };
}

/** What the run that this one is a part of tells its processes. */
function withoutVitest(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/VITEST|NODE_OPTIONS/.test(name)));
}

describe('tests that pass only when they are tried again', () => {
  it('are told, each with why it had failed', () => {
    const { code, said } = run(['too late', undefined, 'late, too']);
    expect(said).toContain('passed only when tried again: some.test.ts > number 0\ntoo late\n');
    expect(said).toContain('passed only when tried again: some.test.ts > number 2\nlate, too\n');
    expect(said).not.toContain('number 1');
    expect(code).toBe(0);
  });

  it('fail the run when they are many', () => {
    const { code, said } = run(Array.from({ length: 4 }, () => 'late'));
    expect(said).toContain('4 are more than chance: at most 3 are let pass');
    expect(code).toBe(1);
  });

  it('fail the run when a seed had found something', () => {
    const { code, said } = run(['Property failed after 3 tests\n{ seed: 1, path: "2" }']);
    expect(said).toContain('1 of them had failed by a seed');
    expect(code).toBe(1);
  });
});
