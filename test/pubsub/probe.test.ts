import { describe, expect, it, onTestFinished } from 'vitest';
import { Probe } from '../../src/pubsub/connection/probe.ts';
import { until } from '../support/until.ts';

/** Probes of a line that hears those that `isHeard` says. */
function probing(isHeard: (number: number) => boolean) {
  const marks = new Map<string, () => void>();
  const told = { published: 0, starving: [] as number[] };
  const line = {
    isStopped: false,
    onMark: (mark: string, fn: () => void) => void marks.set(mark, fn),
    offMark: (mark: string) => void marks.delete(mark),
  };
  const publish = async (_: string, mark: string) => {
    if (isHeard(++told.published)) marks.get(mark)?.();
  };
  const onStarving = () => void told.starving.push(told.published);
  const probe = new Probe(line, { channel: 'private', publish, everyMs: 5, provenAt: 7, onStarving });
  onTestFinished(() => probe.stop());
  return { probe, marks, told };
}

describe('Probe', () => {
  it('minds one that does not come no more than once', async () => {
    const { probe, marks, told } = probing((number) => number % 2 === 0);
    await until(() => told.published === 9);
    expect(told.starving).toEqual([]);
    expect(probe.provenAt).toBeGreaterThan(Date.now() - 10_000);
    probe.stop();
    expect(marks.size).toBe(0);
  });

  it('says so when two in a row do not come, once', async () => {
    const { marks, told } = probing((number) => number < 3);
    await until(() => told.starving.length > 0);
    expect([told, marks.size]).toEqual([{ published: 4, starving: [4] }, 0]);
  });
});
