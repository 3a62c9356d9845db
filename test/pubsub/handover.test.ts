import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { handOver } from '../../src/pubsub/connection/handover.ts';
import type { Line } from '../../src/pubsub/connection/line.ts';

/** A line, as far as a hand-over needs it; writes down what is done with it. */
class FakeLine {
  readonly done: string[] = [];
  readonly marks = new Map<string, () => void>();
  readonly end = new Promise<void>(() => {});
  server = 'one';
  isCluster = false;
  moved: Error | undefined;
  isMarkable = true;
  heardAt = 0;
  ended: Error | undefined;
  pingMs = 0;
  tookMs = 0;

  onMark(mark: string, fn: () => void): void {
    this.marks.set(mark, fn);
  }

  offMark(mark: string): void {
    this.marks.delete(mark);
  }

  stop(): void {
    this.done.push('stop');
  }

  forget(): void {
    this.done.push('forget');
  }

  async ping(): Promise<void> {
    await sleep(this.pingMs);
    this.done.push('answer');
  }

  hear(mark: string): void {
    this.heardAt = performance.now();
    this.marks.get(mark)?.();
  }
}

function lines() {
  const [old, next] = [new FakeLine(), new FakeLine()];
  const run = (publish: (mark: string) => Promise<unknown>) =>
    handOver(old as unknown as Line<string>, next as unknown as Line<string>, publish);
  return { old, next, run };
}

describe('handOver()', () => {
  it('waits for the old line as long as the mark took to come to the new one', async () => {
    const { old, next, run } = lines();
    const begun = Date.now();
    const { isSeamless, since } = await run(async (mark) => {
      await sleep(600);
      next.hear(mark);
      setTimeout(() => old.hear(mark), 150);
    });
    expect({ isSeamless, done: [old.done[0], next.done[0]] }).toEqual({ isSeamless: true, done: ['stop', 'forget'] });
    // Before the mark was published.
    expect(since - begun).toBeLessThan(500);
    expect([old.marks.size, next.marks.size]).toEqual([0, 0]);
  });

  it('waits on while anything comes over the old line', async () => {
    const { old, next, run } = lines();
    const timer = setInterval(() => {
      old.heardAt = performance.now();
    }, 5);
    const { isSeamless } = await run(async (mark) => {
      next.hear(mark);
      setTimeout(() => old.hear(mark), 300);
    });
    clearInterval(timer);
    expect(isSeamless).toBe(true);
  });

  it('ends the old line at the mark of the new one, when it is silent', async () => {
    const { old, next, run } = lines();
    const { isSeamless, since } = await run(async (mark) => next.hear(mark));
    expect({ isSeamless, done: [old.done, next.done] }).toEqual({ isSeamless: false, done: [['stop'], ['forget']] });
    expect(since).toBeLessThanOrEqual(Date.now());
  });

  it.each(['may not publish', 'cannot hear it', 'leads elsewhere'])(
    'has the new line begin behind an answer when there can be no mark, because one %s',
    async (why) => {
      const { old, next, run } = lines();
      next.isMarkable = why !== 'cannot hear it';
      if (why === 'leads elsewhere') next.server = 'two';
      const begun = Date.now();
      next.pingMs = 20;
      const { isSeamless, since } = await run(async (mark) => {
        if (why === 'may not publish') throw new Error('NOPERM');
        next.hear(mark);
        old.hear(mark);
      });
      expect({ isSeamless, old: old.done, next: next.done }).toEqual({ isSeamless: false, old: ['stop'], next: ['answer', 'forget'] });
      expect(since).toBeGreaterThanOrEqual(begun + 15);
    },
  );

  it('is not seamless where the old line was left behind before it came to the mark', async () => {
    const { old, next, run } = lines();
    const { isSeamless } = await run(async (mark) => {
      next.hear(mark);
      old.moved = new Error('moved');
      old.hear(mark);
    });
    expect(isSeamless).toBe(false);
  });

  it('throws away what another node of a cluster may have brought already', async () => {
    const { old, next, run } = lines();
    next.server = 'two';
    next.isCluster = true;
    const begun = Date.now();
    const { isSeamless, since } = await run(async () => {});
    expect({ isSeamless, old: old.done, next: next.done }).toEqual({ isSeamless: false, old: ['stop'], next: ['answer', 'forget'] });
    expect(since - begun).toBeGreaterThan(240);
  });

  it('does without a mark where that takes longer than another connection did', async () => {
    const { old, next, run } = lines();
    const { isSeamless } = await run(() => new Promise(() => {}));
    expect({ isSeamless, old: old.done, next: next.done }).toEqual({ isSeamless: false, old: ['stop'], next: ['answer', 'forget'] });
    next.tookMs = 1_000;
    const slow = await run(async (mark) => {
      await sleep(1_200);
      next.hear(mark);
      old.hear(mark);
    });
    expect(slow.isSeamless).toBe(true);
  });

  it('does without a mark where the old line has ended', async () => {
    const { old, next, run } = lines();
    old.ended = new Error('reset');
    const marks: string[] = [];
    const { isSeamless } = await run(async (mark) => void marks.push(mark));
    expect({ isSeamless, next: next.done, marks }).toEqual({ isSeamless: false, next: ['answer', 'forget'], marks: [] });
  });

  it('believes the mark where only the answer to its publication was lost', async () => {
    const { old, next, run } = lines();
    const { isSeamless } = await run(async (mark) => {
      next.hear(mark);
      old.hear(mark);
      throw new Error('closed');
    });
    expect(isSeamless).toBe(true);
  });

  it('leaves the old line alone when the new one is of no use', async () => {
    const { old, next, run } = lines();
    await expect(run(async () => {})).rejects.toThrow('no answer within 1000 ms');
    next.ended = new Error('broken');
    await expect(run(async (mark) => next.hear(mark))).rejects.toThrow('broken');
    expect(old.done).toEqual([]);
  });
});
