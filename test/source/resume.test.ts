import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { Random } from '../../dev/random.ts';
import { currentScope, GaveUpError, resume, type Source, type SourceRestart, withRoot, withScope } from '../../src/index.ts';
import { poolOf, Server } from '../pool/support.ts';
import { uncaught } from '../support/events.ts';
import { until } from '../support/until.ts';
import { collect, failingFirst, faultyNumbersTo, numbersTo, range } from './support.ts';

const AT_ONCE = { minDelayMs: 0 };
const never = () => new Promise<never>(() => {});

/** Yields one number, then waits for ever, whoever asks it to stop. */
const deaf: Source<number, number> = async function* deaf(from) {
  yield [from, from + 1];
  await never();
};

/** Closes a scope in which a task in the background waits for a deaf source. @returns how long that took, in milliseconds. */
async function closeWhileReading(): Promise<number> {
  let signal: AbortSignal | undefined;
  let closedAt = 0;
  await withRoot(async (scope) => {
    const source: Source<number, number> = (from, given) => {
      signal = given;
      return deaf(from, given);
    };
    const items = resume(source, 0);
    scope.spawn(() => collect(items), { background: true });
    await until(() => items.checkpoint === 1);
    closedAt = performance.now();
  });
  expect(signal?.aborted).toBe(true);
  return performance.now() - closedAt;
}

describe('resume', () => {
  it('gives each of a million items once and in order, though one in a thousand takes fails', async () => {
    const onRestart = vi.fn();
    const items = resume(faultyNumbersTo(1_000_000, new Random(4), 1_000), 0, { ...AT_ONCE, onRestart });
    let count = 0;
    for await (const item of items) if (item !== count++) throw new Error(`${item} came as number ${count}`);
    expect(count).toBe(1_000_000);
    expect(onRestart.mock.calls.length).toBeGreaterThan(900);
    expect(onRestart.mock.calls.length).toBeLessThan(1_100);
  });

  it('returns the last state at the end of the source, and then is over', async () => {
    const items = resume(numbersTo(2), 0);
    const results = [await items.next(), await items.next(), await items.next(), await items.next()];
    expect(results).toEqual([
      { done: false, value: 0 },
      { done: false, value: 1 },
      { done: true, value: 2 },
      { done: true, value: 2 },
    ]);
  });

  it('begins anew behind the item that was taken last, and not behind one whose successor nobody asked for', async () => {
    const begun: number[] = [];
    const source: Source<string, number> = async function* letters(from) {
      begun.push(from);
      for (let at = from; ; at++) {
        yield ['abcdef'[at] as string, at + 1];
        if (at === 2 && begun.length === 1) throw new Error('lost');
      }
    };
    const items = resume(source, 0, AT_ONCE);
    const letters = [];
    for await (const letter of items) {
      letters.push(letter);
      if (letter === 'e') break;
    }
    expect(letters).toEqual([...'abcde']);
    expect(begun).toEqual([0, 3]);
  });

  it('knows the state behind the item that was given last, where another process goes on', async () => {
    const first = resume(numbersTo(10), 0);
    await first.next();
    expect(first.checkpoint).toBe(1);
    await first.next();
    expect(first.checkpoint).toBe(2);
    await first.return();
    expect(await collect(resume(numbersTo(4), first.checkpoint))).toEqual([2, 3]);
  });

  it('tells each restart: error, state, how many in a row, how long it waits', async () => {
    const told: SourceRestart<number>[] = [];
    const items = resume(failingFirst(3, 1), 7, { minDelayMs: 4, maxDelayMs: 10, onRestart: (restart) => void told.push(restart) });
    expect(await collect(items)).toEqual([]);
    expect(told.map(({ error, state, restarts }) => [`${error}`, state, restarts])).toEqual([
      ['Error: failure 1', 7, 1],
      ['Error: failure 2', 7, 2],
      ['Error: failure 3', 7, 3],
    ]);
    for (const [place, longest] of [4, 8, 10].entries()) {
      expect(told[place]?.delayMs).toBeGreaterThanOrEqual(longest / 2);
      expect(told[place]?.delayMs).toBeLessThanOrEqual(longest);
    }
  });

  it('gives up after so many restarts in a row without progress, behind all earlier items, and says where', async () => {
    const poisoned: Source<number, number> = async function* poisoned(from) {
      for (let number = from; ; number++) {
        if (number === 3) throw new Error('cannot read 3');
        yield [number, number + 1];
      }
    };
    const taken: number[] = [];
    const failure = await (async () => {
      for await (const number of resume(poisoned, 0, { ...AT_ONCE, maxRestarts: 2 })) taken.push(number);
    })().catch((error: unknown) => error);
    expect(taken).toEqual([0, 1, 2]);
    expect(failure).toBeInstanceOf(GaveUpError);
    expect(failure).toMatchObject({ code: 'ERR_GAVE_UP', state: 3, restarts: 2, cause: new Error('cannot read 3') });
    expect((failure as Error).message).toMatch(
      /^source "poisoned" failed 3 times in a row without progress at state 3, .+, or go on behind what it cannot read$/,
    );
  });

  it('counts anew with each item: a source that fails before every item, but not more often in a row, is never given up', async () => {
    let failures = 0;
    const source: Source<number, number> = async function* flaky(from) {
      if (failures++ % 3 !== 2) throw new Error('flaky');
      yield [from, from + 1];
      throw new Error('again');
    };
    const items = resume(source, 0, { ...AT_ONCE, maxRestarts: 3 });
    for (const expected of range(50)) expect(await items.next()).toEqual({ done: false, value: expected });
    await items.return();
  });

  it('lets other work go on while it is begun anew at once, again and again', async () => {
    const source = vi.fn(failingFirst(1_000_000, 1));
    const abort = new AbortController();
    const asked = resume(source, 0, { ...AT_ONCE, maxRestarts: Number.POSITIVE_INFINITY, signal: abort.signal }).next();
    setTimeout(() => abort.abort(new Error('enough')), 10);
    await expect(asked).rejects.toThrow('enough');
    expect(source.mock.calls.length).toBeLessThan(1_000);
  });

  it('gives up at once when onRestart throws, with that', async () => {
    const enough = new Error('enough');
    const items = resume(failingFirst(9, 1), 0, {
      onRestart: () => {
        throw enough;
      },
    });
    await expect(items.next()).rejects.toBe(enough);
    expect(await items.next()).toEqual({ done: true, value: 0 });
  });

  it('gives up when onRestart rejects, with that', async () => {
    const unhandled = uncaught('unhandledRejection');
    const enough = new Error('enough');
    await expect(resume(failingFirst(9, 1), 0, { onRestart: () => Promise.reject(enough) }).next()).rejects.toBe(enough);
    await sleep(1);
    expect(unhandled).toEqual([]);
  });

  it('runs its source in the context in which it was made, whoever asks', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const source: Source<number, number> = async function* seeing(from) {
      for (let number = from; number < 3; number++) {
        seen.push([storage.getStore(), currentScope().name]);
        await sleep(1);
        if (seen.length === 2) throw new Error('lost');
        yield [number, number + 1];
      }
    };
    await withRoot(
      async () => {
        const items = storage.run('maker', () => resume(source, 0, AT_ONCE));
        const ask = () => storage.run('asker', () => items.next());
        await ask();
        for (const _ of range(3)) await withScope(ask, { name: 'asker' });
      },
      { name: 'maker' },
    );
    expect(seen).toEqual(Array.from({ length: 4 }, () => ['maker', 'maker']));
  });

  it('lets its source begin things in a scope that drains, as a part of the task that asks', async () => {
    const source: Source<number, number> = async function* opening(from) {
      for (let number = from; number < 3; number++) {
        await sleep(5);
        yield [await withScope(() => number), number + 1];
      }
    };
    const taken: number[] = [];
    await withRoot((scope) => {
      const items = resume(source, 0);
      scope.spawn(async () => {
        for await (const number of items) taken.push(number);
      });
    });
    expect(taken).toEqual([0, 1, 2]);
  });

  it('lets its source hold what the work holds that asks, so that a deadlock is seen', async () => {
    const pool = poolOf(new Server(), { max: 1, acquireTimeoutMs: 1_000 });
    const source: Source<number, number> = async function* leasing(from) {
      yield [await pool.use(() => from), from + 1];
    };
    await withRoot(async () => {
      const items = resume(source, 0, { maxRestarts: 0 });
      const asked = pool.use(() => items.next());
      await expect(asked).rejects.toMatchObject({ code: 'ERR_GAVE_UP', cause: { code: 'ERR_POOL_DEADLOCK' } });
    });
  });

  it('answers calls one after another, as a generator does', async () => {
    const items = resume(faultyNumbersTo(20, new Random(1), 3), 0, { ...AT_ONCE, maxRestarts: 50 });
    const results = await Promise.all(range(21).map(() => items.next()));
    expect(results.map(({ value }) => value)).toEqual([...range(20), 20]);
  });

  describe('ends', () => {
    it('the source with the loop of its consumer', async () => {
      const ended = vi.fn();
      const source: Source<number, number> = async function* numbers(from, signal) {
        try {
          yield* numbersTo(9)(from, signal);
        } finally {
          ended(signal.aborted);
        }
      };
      for await (const number of resume(source, 0)) if (number === 2) break;
      expect(ended.mock.calls).toEqual([[true]]);
    });

    it.each([
      ['while it waits for the source', deaf, {}],
      ['in the wait before a restart', failingFirst(99, 1), { minDelayMs: 60_000 }],
    ])('by its signal %s', async (_, source, policy) => {
      const unhandled = uncaught('unhandledRejection');
      const abort = new AbortController();
      const items = resume(source, 0, { ...policy, signal: abort.signal });
      const asked = (async () => {
        for await (const _ of items);
      })();
      await sleep(20);
      const reason = new Error('enough');
      abort.abort(reason);
      await expect(asked).rejects.toBe(reason);
      expect((await items.next()).done).toBe(true);
      await sleep(5);
      expect(unhandled).toEqual([]);
    });

    it('and begins the source no more, though it was to be begun anew', async () => {
      const abort = new AbortController();
      const source = vi.fn(failingFirst(99, 1));
      const asked = resume(source, 0, { minDelayMs: 20, signal: abort.signal }).next();
      await until(() => source.mock.calls.length === 1);
      await sleep(1);
      abort.abort(new Error('enough'));
      await expect(asked).rejects.toThrow('enough');
      await sleep(30);
      expect(source).toHaveBeenCalledOnce();
    });

    it.each([0, 5])('and begins the source no more when onRestart ends it, %i ms before', async (minDelayMs) => {
      const abort = new AbortController();
      const source = vi.fn(failingFirst(99, 1));
      const onRestart = () => abort.abort(new Error('enough'));
      await expect(resume(source, 0, { minDelayMs, signal: abort.signal, onRestart }).next()).rejects.toThrow('enough');
      await sleep(20);
      expect(source).toHaveBeenCalledOnce();
    });

    it('by a signal that has aborted before, without having begun the source', async () => {
      const source = vi.fn(numbersTo(1));
      await expect(resume(source, 0, { signal: AbortSignal.abort(new Error('no')) }).next()).rejects.toThrow('no');
      expect(source).not.toHaveBeenCalled();
    });

    it('with the scope in which it was made, within 100 ms, also where the source is deaf', async () => {
      const tookMs = [];
      for (const _ of range(5)) tookMs.push(await closeWhileReading());
      expect(Math.min(...tookMs)).toBeLessThan(100);
    });

    it('and reports to the scope what the source fails with when it is ended', async () => {
      const onSuppressed = vi.fn();
      const source: Source<number, number> = async function* numbers(from) {
        try {
          yield [from, from + 1];
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: that is what is tested
          throw new Error('cannot end');
        }
      };
      const abort = new AbortController();
      await withRoot(
        async () => {
          const items = resume(source, 0, { signal: abort.signal, name: 'stubborn' });
          await items.next();
          abort.abort(new Error('enough'));
          await expect(items.next()).rejects.toThrow('enough');
        },
        { onSuppressed },
      );
      expect(onSuppressed.mock.calls).toEqual([[new Error('cannot end'), 'stubborn']]);
    });

    it('and leaves no listener on the signal of its scope where its own has aborted before', async () => {
      await withRoot(async ({ signal }) => {
        const add = vi.spyOn(signal, 'addEventListener');
        const remove = vi.spyOn(signal, 'removeEventListener');
        const items = resume(numbersTo(1), 0, { signal: AbortSignal.abort(new Error('no')) });
        await expect(items.next()).rejects.toThrow('no');
        expect(add.mock.calls.length).toBeLessThanOrEqual(remove.mock.calls.length);
      });
    });

    it('and leaves no listener on the signal, nor on that of the scope', async () => {
      const { signal } = new AbortController();
      const add = vi.spyOn(signal, 'addEventListener');
      const remove = vi.spyOn(signal, 'removeEventListener');
      for (const _ of range(20)) await collect(resume(numbersTo(1), 0, { signal }));
      expect([add.mock.calls.length, remove.mock.calls.length]).toEqual([20, 20]);
    });
  });

  it.each<[string, () => Promise<unknown>]>([
    [
      'whose signal has aborted before',
      () =>
        resume(numbersTo(1), 0, { signal: AbortSignal.abort() })
          .next()
          .catch(() => {}),
    ],
    [
      'that is asked after its end',
      async () => {
        const items = resume(numbersTo(1), 0);
        await items.return();
        await items.next();
      },
    ],
  ])('leaves no listener on the signal of a scope that lives on, of a source %s', async (_, read) => {
    await withRoot(async ({ signal }) => {
      const add = vi.spyOn(signal, 'addEventListener');
      await read();
      expect(add).not.toHaveBeenCalled();
    });
  });

  describe('copies a state that is an object', () => {
    it('so that the source may go on changing its own', async () => {
      const begun: unknown[] = [];
      const source: Source<number, { at: number }> = async function* counting(from) {
        begun.push({ ...from });
        for (let count = 0; from.at < 4; count++) {
          from.at++;
          yield [from.at, from];
          if (count === 1) throw new Error('lost');
          from.at += 0;
        }
      };
      const initial = { at: 0 };
      expect(await collect(resume(source, initial, AT_ONCE))).toEqual([1, 2, 3, 4]);
      expect(begun).toEqual([{ at: 0 }, { at: 2 }, { at: 4 }]);
    });
  });

  it('begins anew where it was, though the source had changed the state that it was given before it failed', async () => {
    const source: Source<number, { at: number }> = async function* poisoned(state) {
      for (;;) {
        const number = state.at++;
        if (number === 2) throw new Error('cannot read 2');
        yield [number, state];
      }
    };
    const items = resume(source, { at: 0 }, { ...AT_ONCE, maxRestarts: 3 });
    expect([await items.next(), await items.next()]).toMatchObject([{ value: 0 }, { value: 1 }]);
    await expect(items.next()).rejects.toMatchObject({ code: 'ERR_GAVE_UP', state: { at: 2 } });
  });

  describe('refuses', () => {
    it.each([
      ['its source must be a function; got an array', () => resume([] as never, 0)],
      ['maxRestarts must be an integer from 0, or Infinity; got -1', () => resume(numbersTo(1), 0, { maxRestarts: -1 })],
      [
        'minDelayMs must be milliseconds from 0, Infinity for no limit; got "1"',
        () => resume(numbersTo(1), 0, { minDelayMs: '1' as never }),
      ],
      ['maxDelayMs must be at least minDelayMs, 50; got 10', () => resume(numbersTo(1), 0, { maxDelayMs: 10 })],
      [
        'its state must be a state that can be stored: plain data, not undefined; got a function',
        () => resume(numbersTo(1), (() => 1) as never),
      ],
      ['retries must be absent: known are', () => resume(numbersTo(1), 0, { retries: 1 } as never)],
    ])('%s', (said, wrong) => {
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringContaining(said) }));
    });

    it.each<[string, unknown]>([
      ['yield a pair: [item, the state behind it]; got 1', 1],
      ['yield a pair: [item, the state behind it]; got an array', [1]],
      ['yield with each item a state that can be stored: plain data, not undefined; got undefined', [1, undefined]],
      ['yield with each item a state that can be stored: plain data, not undefined; got a function', [1, () => 1]],
      ['yield with each item a state that can be stored: plain data, not undefined; got an object', [1, { at: () => 1 }]],
    ])('to begin a source anew that does not %s, and ends it', async (said, item) => {
      const ended = vi.fn();
      const source = async function* wrong() {
        try {
          yield [0, 1];
          yield item;
        } finally {
          ended();
        }
      };
      const items = resume(source as never, 0);
      await items.next();
      await expect(items.next()).rejects.toMatchObject({
        code: 'ERR_SOURCE_ITEM',
        message: `source "wrong" must ${said}. Correct the source`,
      });
      expect(ended).toHaveBeenCalledOnce();
      expect((await items.next()).done).toBe(true);
    });

    it('an iterator whose results are none', async () => {
      const source = () => ({ [Symbol.asyncIterator]: () => ({ next: async () => undefined }) });
      await expect(resume(source as never, 0).next()).rejects.toThrow(TypeError);
    });

    it('a source that is no async generator', async () => {
      await expect(resume((() => [1]) as never, 0, { name: 'list' }).next()).rejects.toMatchObject({
        code: 'ERR_SOURCE_ITEM',
        message: 'source "list" must return an async iterable, as an async generator does; got an array. Correct the source',
      });
    });
  });

  it('keeps nothing of five million items that it gave', { timeout: 120_000 }, async () => {
    const items = resume(numbersTo(5_000_000), 0);
    const heap = () => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    for (const _ of range(1_000)) await items.next();
    const before = heap();
    for await (const _ of items);
    expect(heap() - before).toBeLessThan(1_000_000);
  });
});
