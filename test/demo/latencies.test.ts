import { describe, expect, it, vi } from 'vitest';
import { Latencies } from '../../demo/latencies.ts';

/** Latencies of commands that took so many milliseconds. */
async function of(...all: readonly number[]): Promise<Latencies> {
  const latencies = new Latencies();
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  for (const ms of all) {
    await latencies.time(async () => {
      now += ms;
    });
  }
  clock.mockRestore();
  return latencies;
}

describe('Latencies', () => {
  it('tells percentiles by the nearest rank, in the order asked for', async () => {
    const latencies = await of(...Array.from({ length: 200 }, (_, n) => 200 - n));
    expect(latencies.percentiles(99, 50, 100, 0)).toEqual([198, 100, 200, 1]);
  });

  it('sorts numbers as numbers', async () => {
    expect((await of(9, 10, 100)).percentiles(50)).toEqual([10]);
  });

  it('tells NaN without a command, and after it has forgotten all', async () => {
    const latencies = await of(1, 2);
    latencies.forget();
    expect(latencies.percentiles(50)).toEqual([Number.NaN]);
  });

  it('passes the reply on, and an error without noting it', async () => {
    const latencies = new Latencies();
    expect(await latencies.time(async () => 'reply')).toBe('reply');
    await expect(latencies.time(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    latencies.forget();
    await latencies.time(() => Promise.reject(new Error('no'))).catch(() => {});
    expect(latencies.percentiles(50)).toEqual([Number.NaN]);
  });
});
