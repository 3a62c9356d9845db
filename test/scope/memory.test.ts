import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { shared } from '../../src/context.ts';
import { Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { rootWithReports } from './support.ts';

/** Waits until the collector has taken all of them; the test's own time is the limit. */
async function untilCollected(refs: readonly WeakRef<object>[]): Promise<void> {
  while (refs.some((ref) => ref.deref())) {
    await turn();
    global.gc?.();
  }
}

describe('A scope that lives as long as its worker', () => {
  it('holds none of 20,000 child scopes, tasks and resources it had', async () => {
    const { root } = rootWithReports();
    const refs: WeakRef<object>[] = [];
    const job = async () => {
      const task = await withScope(
        async (scope) => {
          refs.push(new WeakRef(scope));
          scope.onClose(() => {});
          return { running: scope.spawn(() => {}) };
        },
        { parent: root },
      );
      refs.push(new WeakRef(task.running), new WeakRef(root.spawn(() => {})));
    };
    for (let count = 0; count < 20_000; count++) await job();
    await untilCollected(refs);
    expect(root.tree().children).toEqual([]);
    await root.close();
  });

  it('holds no listener that was taken back and no start that failed', async () => {
    const { root } = rootWithReports({ onError: () => {} });
    const refs: WeakRef<object>[] = [];
    const visit = async () => {
      const target = new EventTarget();
      refs.push(new WeakRef(target));
      root.on(target, 'x', () => {})();
      const error = new Error('no');
      refs.push(new WeakRef(error));
      await root.open(() => Promise.reject(error)).catch(() => {});
    };
    for (let count = 0; count < 100; count++) await visit();
    await untilCollected(refs);
    await root.close();
  });
});

describe('A closed scope', () => {
  it('holds on to nothing', async () => {
    const refs: WeakRef<object>[] = [];
    const kept = await (async () => {
      const scope = new Scope({ parent: null, onError: big(), onSuppressed: big(), signal: keep(new AbortController().signal) });
      await scope.open(() => keep({}), big());
      scope.onClose(big());
      scope.addSingle(keep({}), keep({ close: () => {} }));
      await scope.spawn(() => keep({}));
      keep(new Scope({ parent: scope }));
      await scope.close();
      return scope;
    })();
    await untilCollected(refs);
    expect(kept.state).toBe('closed');
    expect(shared.roots.has(kept)).toBe(false);

    function keep<T extends object>(value: T): T {
      refs.push(new WeakRef(value));
      return value;
    }
    function big() {
      return keep(() => {});
    }
  });

  it('that opened the next one in a timer is not held by it', async () => {
    const refs: WeakRef<object>[] = [];
    const rounds = 50;
    await new Promise<void>((resolve, reject) => {
      const round = (left: number) => {
        withRoot((scope) => {
          refs.push(new WeakRef(scope));
          if (left === 0) untilCollected(refs.slice(0, rounds - 1)).then(resolve, reject);
          else setImmediate(round, left - 1);
        }).catch(reject);
      };
      round(rounds);
    });
    expect(refs).toHaveLength(rounds + 1);
  });
});
