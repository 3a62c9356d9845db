import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { currentScope, GaveUpError, type Restart, Scope, supervise, type TaskRestart, withRoot, withScope } from '../../src/index.ts';
import { uncaught } from '../support/events.ts';
import { until } from '../support/until.ts';
import { range } from './support.ts';

const AT_ONCE = { minDelayMs: 0 };

describe('supervise', () => {
  it.each<[Restart, string, number]>([
    ['permanent', 'ends', 4],
    ['permanent', 'fails', 4],
    ['transient', 'ends', 1],
    ['transient', 'fails', 4],
    ['temporary', 'ends', 1],
    ['temporary', 'fails', 1],
  ])('%s: a task that %s is begun %i times', async (restart, how, times) => {
    let runs = 0;
    const onSuppressed = vi.fn();
    await withRoot(
      async () => {
        const task = supervise(
          async ({ signal }) => {
            if (++runs === 4) await new Promise((resolve) => signal.addEventListener('abort', resolve));
            else if (how === 'fails') throw new Error(`failure ${runs}`);
            return runs;
          },
          { ...AT_ONCE, restart, name: 'reader', background: true },
        );
        if (times === 4) await until(() => runs === 4);
        else expect(await task).toBe(how === 'ends' ? 1 : undefined);
        await sleep(10);
      },
      { onSuppressed },
    );
    expect(runs).toBe(times);
    expect(onSuppressed.mock.calls).toEqual(restart === 'temporary' && how === 'fails' ? [[new Error('failure 1'), 'reader']] : []);
  });

  it('begins transient tasks anew unless told otherwise, and its value is that of the last run', async () => {
    let runs = 0;
    const value = await withRoot(() =>
      supervise(() => {
        if (++runs < 3) throw new Error('not yet');
        return `run ${runs}`;
      }, AT_ONCE),
    );
    expect(value).toBe('run 3');
  });

  it('isolates errors: its siblings hear nothing of a task that fails and is begun anew', async () => {
    let runs = 0;
    const sibling = vi.fn();
    await withRoot((scope) => {
      supervise(() => {
        if (++runs < 5) throw new Error('failing');
      }, AT_ONCE);
      scope.spawn(async ({ signal }) => {
        await until(() => runs === 5);
        sibling(signal.aborted);
      });
    });
    expect(sibling.mock.calls).toEqual([[false]]);
  });

  it('runs each time in a scope of its own, whose resources are closed before the next begins', async () => {
    const events: string[] = [];
    let runs = 0;
    await withRoot(() => {
      supervise(
        async () => {
          const run = ++runs;
          await currentScope().open(
            () => events.push(`open ${run}`),
            () => events.push(`close ${run}`),
          );
          if (run < 3) throw new Error('failing');
        },
        { ...AT_ONCE, name: 'reader' },
      );
    });
    expect(events).toEqual(['open 1', 'close 1', 'open 2', 'close 2', 'open 3', 'close 3']);
  });

  it('gives up after so many restarts in a row, and fails its scope, which stops the siblings and fails its parent', async () => {
    const poison = new Error('poison');
    const sibling = vi.fn();
    const failed = withRoot(async () => {
      await withScope(
        (scope) => {
          supervise(() => Promise.reject(poison), { ...AT_ONCE, maxRestarts: 2, name: 'reader' });
          scope.spawn(({ signal }) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(sibling()))));
        },
        { name: 'pipeline' },
      );
    });
    const failure = await failed.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(GaveUpError);
    expect(failure).toMatchObject({ restarts: 2, cause: poison, state: undefined });
    expect((failure as Error).message).toMatch(
      /^task "reader" failed 3 times in a row without progress, .+, or call progress\(\) where it gets on$/,
    );
    expect(sibling).toHaveBeenCalledOnce();
  });

  it('tells a scope that supervises of a task that is given up, and its siblings go on', async () => {
    const onError = vi.fn();
    let sibling = false;
    await withRoot(
      (scope) => {
        supervise(() => Promise.reject(new Error('poison')), { ...AT_ONCE, maxRestarts: 1, name: 'reader' });
        scope.spawn(async () => {
          await until(() => onError.mock.calls.length > 0);
          sibling = true;
        });
      },
      { onError },
    );
    expect(onError.mock.calls).toEqual([[expect.any(GaveUpError), 'reader']]);
    expect(sibling).toBe(true);
  });

  it('counts anew when the task says that it gets on', async () => {
    let runs = 0;
    const onRestart = vi.fn<(restart: TaskRestart) => void>();
    await withRoot(() => {
      supervise(
        ({ progress }) => {
          if (++runs % 2 === 0) progress();
          if (runs < 20) throw new Error('failing');
        },
        { ...AT_ONCE, maxRestarts: 2, onRestart },
      );
    });
    expect(onRestart.mock.calls.map(([{ restarts }]) => restarts)).toEqual(range(19).map((at) => (at % 2 === 0 && at > 0 ? 2 : 1)));
  });

  it('counts anew when a run lasted longer than the longest delay', async () => {
    let runs = 0;
    await withRoot(() => {
      supervise(
        async () => {
          await sleep(20);
          if (++runs < 5) throw new Error('failing now and then');
        },
        { minDelayMs: 1, maxDelayMs: 5, maxRestarts: 1 },
      );
    });
    expect(runs).toBe(5);
  });

  it.each(['while it runs', 'in the wait before a restart'])('ends when it is cancelled, %s', async (when) => {
    const onRestart = vi.fn();
    let runs = 0;
    const task = await withRoot(async () => {
      const supervised = supervise(
        ({ signal }) => {
          runs++;
          if (when !== 'while it runs') throw new Error('failing');
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
        { minDelayMs: 60_000, onRestart },
      );
      await until(() => runs === 1);
      await sleep(5);
      onRestart.mockClear();
      supervised.cancel(new Error('enough'));
      await expect(supervised).rejects.toThrow('enough');
      expect(onRestart).not.toHaveBeenCalled();
      return 'closed';
    });
    expect([task, runs]).toEqual(['closed', 1]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('enough');
      },
    ],
    ['rejects', () => Promise.reject(new Error('enough'))],
  ])('fails when onRestart %s, with that, and is begun no more', async (_, onRestart) => {
    const unhandled = uncaught('unhandledRejection');
    const run = vi.fn(() => Promise.reject(new Error('failing')));
    await expect(withRoot(() => void supervise(run, { ...AT_ONCE, onRestart }))).rejects.toThrow('enough');
    await sleep(5);
    expect(run).toHaveBeenCalledOnce();
    expect(unhandled).toEqual([]);
  });

  it('ends with its scope, though it is permanent, and leaves nothing behind', async () => {
    const scope = new Scope({ parent: null, name: 'root', graceMs: 0 });
    let runs = 0;
    scope.run(() => supervise(() => void runs++, { restart: 'permanent', minDelayMs: 1, maxDelayMs: 1 })).catch(() => {});
    // More often than a task may fail in a row: to end is no failure.
    await until(() => runs > 10);
    await scope.close();
    const before = runs;
    await sleep(10);
    expect(runs).toBe(before);
    expect(scope.tree().children).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['its function must be a function; got undefined', () => supervise(undefined as never)],
    [
      'restart must be one of "permanent", "transient", "temporary"; got "always"',
      () => supervise(() => {}, { restart: 'always' as never }),
    ],
    ['maxRestarts must be an integer from 0, or Infinity; got 0.5', () => supervise(() => {}, { maxRestarts: 0.5 })],
    ['onRestart must be a function; got 1', () => supervise(() => {}, { onRestart: 1 as never })],
  ])('refuses: %s', (said, wrong) => {
    expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: `supervise(): ${said}` }));
  });

  it('needs a scope', () => {
    expect(() => supervise(() => {})).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });
});
