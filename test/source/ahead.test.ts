import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { ahead, resume, type Source, withRoot } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { collect, range } from './support.ts';

/** Numbers, and how many of them were read. */
class Counted {
  read = 0;
  ended = false;
  readonly #fails: boolean;
  readonly #end: number;

  constructor(end: number, { fails = false } = {}) {
    this.#end = end;
    this.#fails = fails;
  }

  async *[Symbol.asyncIterator]() {
    try {
      while (this.read < this.#end) yield this.read++;
      if (this.#fails) throw new Error('lost');
    } finally {
      this.ended = true;
    }
  }
}

describe('ahead', () => {
  it.each([1, 2, 100])('reads ahead of a slow consumer by %i items, and never by more', async (capacity) => {
    const items = new Counted(1_000);
    let taken = 0;
    let most = 0;
    for await (const number of ahead(items, capacity)) {
      expect(number).toBe(taken++);
      if (taken < 5) await until(() => items.read - taken >= capacity);
      else if (taken % 7 === 0) await sleep(1);
      most = Math.max(most, items.read - taken);
      if (taken === 300) break;
    }
    expect(most).toBe(capacity);
  });

  it('gives all that was read before the failure, then throws it', async () => {
    const items = new Counted(100, { fails: true });
    const taken: number[] = [];
    const consumed = (async () => {
      for await (const number of ahead(items, 1_000)) {
        taken.push(number);
        await sleep(0);
      }
    })();
    await expect(consumed).rejects.toThrow('lost');
    expect(taken).toEqual(range(100));
  });

  it('ends with its items', async () => {
    expect(await collect(ahead(new Counted(5), 2))).toEqual(range(5));
    expect(await collect(ahead([1, 2, 3], 10))).toEqual([1, 2, 3]);
  });

  it('gives null and undefined as they are', async () => {
    expect(await collect(ahead([null, undefined, 0], 2))).toEqual([null, undefined, 0]);
  });

  it('ends its source with the loop of the consumer', async () => {
    const items = new Counted(1_000);
    for await (const _ of ahead(items, 10)) break;
    await until(() => items.ended);
    expect(items.read).toBeLessThanOrEqual(11);
  });

  it('waits until its source has ended, and throws what it fails with then', async () => {
    const failing = async function* failing() {
      try {
        yield* range(1_000);
      } finally {
        await sleep(5);
        // biome-ignore lint/correctness/noUnsafeFinally: that is what is tested
        throw new Error('cannot end');
      }
    };
    const consumed = (async () => {
      for await (const _ of ahead(failing(), 2)) await sleep(1).then(() => Promise.reject(new Error('consumer')));
    })();
    await expect(consumed).rejects.toThrow('consumer');
    const broken = (async () => {
      for await (const _ of ahead(failing(), 2)) break;
    })();
    await expect(broken).rejects.toThrow('cannot end');
  });

  it('ends a source that it waits for, at once', async () => {
    const ended = vi.fn();
    const source: Source<number, number> = async function* waiting(from, signal) {
      try {
        yield [from, from + 1];
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      } finally {
        ended();
      }
    };
    const items = resume(source, 0);
    for await (const _ of ahead(items, 5)) {
      await until(() => items.checkpoint === 1);
      break;
    }
    await until(() => ended.mock.calls.length === 1);
    expect((await items.next()).done).toBe(true);
  });

  it('does not wait for a source that is deaf, and reports what it fails with when it is ended', async () => {
    const onSuppressed = vi.fn();
    const deaf = {
      [Symbol.asyncIterator]: () => ({
        next: vi.fn(() => new Promise<never>(() => {})).mockResolvedValueOnce({ done: false, value: 1 } as never),
        return: () => Promise.reject(new Error('cannot end')),
      }),
    };
    await withRoot(
      async () => {
        for await (const _ of ahead(deaf, 5)) break;
        await sleep(1);
      },
      { onSuppressed },
    );
    expect(onSuppressed.mock.calls).toEqual([[new Error('cannot end'), 'ahead']]);
  });

  it('reads nothing before it is asked', async () => {
    const items = new Counted(10);
    ahead(items, 5);
    await sleep(5);
    expect(items.read).toBe(0);
  });

  it('keeps its memory while it holds a source of millions of items back', async () => {
    const items = new Counted(400_000);
    const heap = () => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const heaps: number[] = [];
    for await (const number of ahead(items, 1_024)) if (number % 100_000 === 99_999) heaps.push(heap());
    expect(heaps).toHaveLength(4);
    expect((heaps[3] as number) - (heaps[0] as number)).toBeLessThan(1_000_000);
  });

  it.each<[string, unknown, unknown]>([
    ['its capacity must be an integer from 1; got 0', [], 0],
    ['its capacity must be an integer from 1; got Infinity', [], Number.POSITIVE_INFINITY],
    ['its items must be an iterable; got a function', () => [], 1],
    ['its items must be an iterable; got undefined', undefined, 1],
  ])('refuses: %s', (said, items, capacity) => {
    expect(() => ahead(items as never, capacity as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: `ahead(): ${said}` }),
    );
  });
});
