import { describe, expect, it } from 'vitest';
import { useBench } from '../support/bench.ts';

describe('npm run bench -- http', () => {
  const bench = useBench();

  it('says what a scope per request costs', { timeout: 180_000 }, async () => {
    const { code, figures } = await bench(['http', '--quick']);
    const each = { express: expect.any(Number), fastify: expect.any(Number) };
    expect(figures).toEqual({ bench: 'http', node: process.version, cpu_vs_bare: each, rps_vs_bare: each });
    expect(code).toBe(0);
  });
});
