import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Marks } from '../../bench/soak/marks.ts';
import { type Findings, failureOf, growth, type Sample } from '../../bench/soak/verdict.ts';

/** A heap that holds so many bytes more with each job, and moves by 0.1 MB up and down. */
function heap(bytesPerJob: number): readonly Sample[] {
  return Array.from({ length: 40 }, (_, place) => ({
    jobs: place * 500,
    heapMb: 17 + (place * 500 * bytesPerJob) / 1e6 + (place % 2) / 10,
  }));
}

describe('the verdict of the soak bench', () => {
  const good: Findings = { zeros: { notEnded: 0, leaks: 0 }, maxOpen: 10, limit: 10, listeners: [14, 14], samples: heap(0) };

  it('finds nothing when all zeros are zeros and nothing has grown', () => {
    expect(failureOf(good)).toBeUndefined();
    expect(failureOf({ ...good, listeners: [14, 13], samples: heap(-1_000) })).toBeUndefined();
  });

  it('takes no heap for grown that has grown only at first', () => {
    const late = heap(0).map((sample, place) => (place < 15 ? { ...sample, heapMb: 5 } : sample));
    expect(failureOf({ ...good, samples: late })).toBeUndefined();
  });

  it.each<[string | RegExp, Partial<Findings>]>([
    ['notEnded: 2, leaks: 1', { zeros: { notEnded: 2, leaks: 1 } }],
    ['maxOpen not 10: 11', { maxOpen: 11 }],
    ['maxOpen not 10: 9', { maxOpen: 9 }],
    ['listeners grew from 14 to 15', { listeners: [14, 15] }],
    [/^heap grew by 3\d\d ± \d+ bytes per job in the second half$/, { samples: heap(300) }],
  ])('says «%s»', (said, wrong) => {
    expect(failureOf({ ...good, ...wrong })).toEqual(said instanceof RegExp ? expect.stringMatching(said) : said);
  });

  it('knows how much a heap grows with each job, and how surely', () => {
    expect(growth(heap(1_000)).bytesPerJob).toBeCloseTo(1_000, -2);
    expect(growth(heap(1_000)).error).toBeLessThan(10);
  });
});

describe('the marks of the soak bench', () => {
  it('count each number once', () => {
    const marks = new Marks(20);
    for (const number of [0, 7, 8, 19, 8, 0]) marks.add(number);
    expect(marks.count).toBe(4);
  });
});

// Children run no TypeScript on Node 20; in the repository, so that what is compiled finds its packages.
describe('npm run bench', () => {
  const root = join(import.meta.dirname, '../..');
  const build = join(root, '.cache', `soak-test-${process.pid}`);

  beforeAll(() => {
    execFileSync('npx', ['tsc', '-p', 'tsconfig.tools.json', '--outDir', build], { cwd: root });
  }, 120_000);
  afterAll(() => rmSync(build, { recursive: true, force: true }));

  const bench = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const child = spawn(process.execPath, ['--expose-gc', join(build, 'bench/main.js'), ...args, '--json'], {
      env: { ...process.env, ...env },
    });
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code, errors, figures: JSON.parse(output.trim().split('\n').at(-1) ?? '') };
  };

  it.each([
    ['scopes', /^scopesLeft: \d+/m],
    ['jobs', /heap grew by \d+ ± \d+ bytes per job/],
  ])('-- soak ends with 1 and says what it has found when %s are kept', { timeout: 120_000 }, async (leak, said) => {
    const { code, errors, figures } = await bench(['soak', '--seconds', '8', '--seed', '1'], { SOAK_LEAK: leak });
    expect([code, errors]).toEqual([1, expect.stringMatching(said)]);
    expect(figures).toMatchObject({ bench: 'soak', notEnded: 0, neverBegun: 0, maxOpen: 10, unhandledRejections: 0 });
  });

  it('-- bullmq says what the wrapper costs', { timeout: 180_000 }, async () => {
    const { code, figures } = await bench(['bullmq', '--quick']);
    expect(figures).toEqual({
      bench: 'bullmq',
      node: process.version,
      ratios: {
        cpu_wrapped_vs_als_on: expect.any(Number),
        cpu_wrapped_vs_bare: expect.any(Number),
        jobs_per_second_vs_bare: expect.any(Number),
      },
    });
    expect(code).toBe(0);
  });
});
