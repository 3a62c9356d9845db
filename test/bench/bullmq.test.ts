import { describe, expect, it } from 'vitest';
import { useBench } from '../support/bench.ts';

describe('npm run bench -- bullmq', () => {
  const bench = useBench();

  it('says what the wrapper of a worker costs', { timeout: 180_000 }, async () => {
    const { code, figures } = await bench(['bullmq', '--quick']);
    const ratios = { cpu_wrapped_vs_als_on: 0, cpu_wrapped_vs_bare: 0, jobs_per_second_vs_bare: 0 };
    const numbers = Object.fromEntries(Object.keys(ratios).map((name) => [name, expect.any(Number)]));
    expect(figures).toEqual({ bench: 'bullmq', node: process.version, ratios: numbers });
    expect(code).toBe(0);
  });
});
