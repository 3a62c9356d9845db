import { describe, expect, it } from 'vitest';
import { Sampler, siteOf, stackHere } from '../../src/pool/sampler.ts';
import { published } from '../support/events.ts';

const taken = (sampler: Sampler, times: number, crowded: boolean) =>
  Array.from({ length: times }, () => sampler.sample(crowded)).filter((sample) => sample !== undefined).length;

describe('Sampler', () => {
  it('samples the first leases of a pool, then one in 512', () => {
    const sampler = new Sampler();
    expect(taken(sampler, 100, false)).toBe(100);
    expect(taken(sampler, 5_120, false)).toBe(10);
  });

  it('samples every lease while somebody waits, where leaks are looked for', () => {
    const sampler = new Sampler(true);
    taken(sampler, 100, false);
    expect(taken(sampler, 50, true)).toBe(50);
    expect(taken(sampler, 5_120, false)).toBe(10);
    expect(taken(new Sampler(), 5_220, true)).toBe(110);
  });

  it('samples every lease after a leak was seen', () => {
    const sampler = new Sampler();
    taken(sampler, 100, false);
    sampler.sampleAll();
    expect(taken(sampler, 50, false)).toBe(50);
  });
});

describe('stackHere', () => {
  it('has more lines while acquires are traced, and leaves the number of all others as it was', () => {
    const { stackTraceLimit } = Error;
    const linesOf = (depth: number): number => (depth === 0 ? (stackHere().stack?.split('\n').length ?? 0) : linesOf(depth - 1));
    expect(linesOf(30)).toBe(stackTraceLimit + 1);
    published('acquire');
    expect(linesOf(30)).toBe(stackTraceLimit + 9);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});

describe('siteOf', () => {
  const stackOf = (...lines: string[]) => Object.assign(new Error('x'), { stack: ['Error: x', ...lines].join('\n') });

  it('gives the line of code that called', () => {
    expect(siteOf(new Error('here'))).toMatch(/test\/pool\/sampler\.test\.ts:\d+:\d+$/);
  });

  it('passes over lines of the library, of node, and of no file', () => {
    const library = new URL('../../src/pool/pool.ts', import.meta.url);
    const stack = stackOf(
      `    at Pool.use (${library.href}:10:5)`,
      `    at Pool.use (${library.pathname}:10:5)`,
      '    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)',
      '    at Array.map (<anonymous>)',
      '    at new Promise (<anonymous>)',
      '    at job (/app/jobs.ts:7:3)',
    );
    expect(siteOf(stack)).toBe('/app/jobs.ts:7:3');
  });

  it('understands lines without a function, of async functions and of constructors', () => {
    expect(siteOf(stackOf('    at /app/jobs.ts:7:3'))).toBe('/app/jobs.ts:7:3');
    expect(siteOf(stackOf('    at async job (/app/jobs.ts:7:3)'))).toBe('/app/jobs.ts:7:3');
    expect(siteOf(stackOf('    at async file:///app/jobs.ts:7:3'))).toBe('file:///app/jobs.ts:7:3');
    expect(siteOf(stackOf('    at new Job (file:///app/jobs.ts:7:3)'))).toBe('file:///app/jobs.ts:7:3');
    expect(siteOf(stackOf('    at Job.run [as go] (/app/jobs.ts:7:3)'))).toBe('/app/jobs.ts:7:3');
    expect(siteOf(stackOf('    at async GET (/app/(shop)/a (copy)/route.ts:7:3)'))).toBe('/app/(shop)/a (copy)/route.ts:7:3');
    expect(siteOf(stackOf('    at async /app/(shop)/a (copy)/route.ts:7:3'))).toBe('/app/(shop)/a (copy)/route.ts:7:3');
    expect(siteOf(stackOf('    at eval (eval at run (/app/a.js:1:2), <anonymous>:7:3)'))).toBe(
      'eval at run (/app/a.js:1:2), <anonymous>:7:3',
    );
  });

  it('has none without a sample, a stack or a line of the caller', () => {
    expect(siteOf(undefined)).toBeUndefined();
    expect(siteOf(stackOf())).toBeUndefined();
    expect(siteOf(Object.assign(new Error('x'), { stack: undefined }))).toBeUndefined();
    // As of a program whose Error.prepareStackTrace gives something else than text.
    expect(siteOf(Object.assign(new Error('x'), { stack: [] }))).toBeUndefined();
  });
});
