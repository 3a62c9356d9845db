import { describe, expect, it } from 'vitest';
import { useBench } from '../support/bench.ts';

describe('npm run bench -- source', () => {
  const bench = useBench();

  it('reads a million items of a source that fails, each once and in order, and says what an item costs', {
    timeout: 180_000,
  }, async () => {
    const { code, errors, figures } = await bench(['source', '--quick']);
    const ratios = { resume_vs_generator: expect.any(Number), faults_vs_generator: expect.any(Number) };
    const exact = { items: 1_000_000, restarts: expect.any(Number), order_exact: true };
    expect(code, errors).toBe(0);
    expect(figures).toEqual({ bench: 'source', node: process.version, ...exact, ratios, redis_items_per_second: expect.any(Number) });
    expect(figures.restarts).toBeGreaterThan(900);
  });
});
