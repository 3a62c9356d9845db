import { afterEach, describe, expect, it } from 'vitest';
import { shared } from '../../src/context.ts';
import { currentScope, Scope, tryCurrentScope, withRoot, withScope } from '../../src/scope/index.ts';
import { code, gate, rootWithReports } from './support.ts';

describe('Scope rule 1: run enters, withScope opens a child and closes it', () => {
  it('run makes the scope current in what it calls and awaits, and nowhere else', async () => {
    const { root } = rootWithReports();
    const seen = await root.run(async () => {
      await null;
      return currentScope();
    });
    expect(seen).toBe(root);
    expect(tryCurrentScope()).toBeUndefined();
    await root.close();
  });

  it('run tracks and closes nothing', async () => {
    const { root } = rootWithReports();
    const { passed, open } = gate();
    const running = root.run(() => passed);
    await root.close();
    expect(root.state).toBe('closed');
    open();
    await running;
  });

  it('run gives back what the function returns, also a thrown error, and fails nothing', async () => {
    const { root } = rootWithReports();
    const error = new Error('no');
    expect(root.run(() => 7)).toBe(7);
    expect(() =>
      root.run(() => {
        throw error;
      }),
    ).toThrow(error);
    await root.close();
  });

  it('withScope opens a child of the current scope and returns the value', async () => {
    await withRoot(async (root) => {
      const value = await withScope((scope) => {
        expect(scope.parent).toBe(root);
        expect(currentScope()).toBe(scope);
        return 'value';
      });
      expect(value).toBe('value');
    });
  });

  it('withScope waits for what was started in it, also for what those start', async () => {
    const order: string[] = [];
    await withRoot(async (scope) => {
      scope.spawn(async () => {
        await null;
        scope.spawn(async () => {
          await null;
          order.push('second task');
        });
        order.push('first task');
      });
      order.push('body');
    });
    expect(order).toEqual(['body', 'first task', 'second task']);
  });

  it('withScope closes its scope also when the body throws', async () => {
    let kept: Scope | undefined;
    const stopped = gate();
    const failing = withRoot((scope) => {
      kept = scope;
      scope.onClose(() => stopped.open());
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await stopped.passed;
    expect(kept?.state).toBe('closed');
  });

  it.each(['body', 'task', 'child', 'child opened by hand'])('withScope throws the failure of a %s as it is', async (from) => {
    class UnrecoverableError extends Error {}
    const error = new UnrecoverableError('no');
    const fail = () => {
      throw error;
    };
    const failing = withRoot(async (scope) => {
      if (from === 'body') fail();
      if (from === 'task') scope.spawn(fail);
      if (from === 'child') await withScope(fail);
      if (from === 'child opened by hand') new Scope({ name: 'child' }).spawn(fail);
    });
    expect(await failing.catch((thrown: unknown) => thrown)).toBe(error);
  });

  it('withScope outside every scope throws ERR_NO_SCOPE and runs nothing', async () => {
    await expect(withScope(() => expect.unreachable())).rejects.toThrow(code('ERR_NO_SCOPE'));
    expect(() => new Scope()).toThrow(code('ERR_NO_SCOPE'));
    expect(() => currentScope()).toThrow(code('ERR_NO_SCOPE'));
  });

  it('withScope outside every scope takes a parent that is given', async () => {
    const { root } = rootWithReports();
    expect(await withScope((scope) => scope.parent, { parent: root })).toBe(root);
    await root.close();
  });

  it('withRoot makes a root, also inside another, and forgets it when it is closed', async () => {
    const before = shared.roots.size;
    await withRoot(async (outer) => {
      await withRoot((inner) => {
        expect(inner.parent).toBeNull();
        expect(inner.root).toBe(inner);
        expect(inner.root).not.toBe(outer);
        expect(shared.roots.has(inner)).toBe(true);
      });
      expect(shared.roots.size).toBe(before + 1);
      expect(shared.roots.has(outer)).toBe(true);
    });
    expect(shared.roots.size).toBe(before);
  });

  describe('Scope.process()', () => {
    afterEach(() => Scope.process().close());

    it('gives the one root of the process', () => {
      expect(Scope.process()).toBe(Scope.process());
      expect(Scope.process().parent).toBeNull();
      expect(Scope.process().run(currentScope)).toBe(Scope.process());
    });

    it('gives a new one after the old one was closed', async () => {
      const first = Scope.process();
      await first.close();
      expect(Scope.process()).not.toBe(first);
      expect(Scope.process().state).toBe('open');
    });
  });
});

describe('Scope rule 2: pools bind to scope.root, the nearest root or isolated scope', () => {
  it('root is the same for every scope below it', async () => {
    await withRoot(async (root) => {
      await withScope(() => withScope((scope) => expect(scope.root).toBe(root)));
    });
  });

  it('an isolated scope is a root for those below it and is closed with its parent', async () => {
    const { root } = rootWithReports();
    const worker = new Scope({ parent: root, isolate: true, name: 'worker' });
    expect(worker.root).toBe(worker);
    expect(new Scope({ parent: worker }).root).toBe(worker);
    await root.close();
    expect(worker.state).toBe('closed');
  });

  it('closes what exists once per root after everything that was opened, newest first, each once', async () => {
    const { root } = rootWithReports();
    const order: string[] = [];
    for (const name of ['first', 'second']) root.addSingle({ name }, { close: () => void order.push(name) });
    root.onClose(() => void order.push('closer'));
    await root.close();
    expect(order).toEqual(['closer', 'second', 'first']);
  });

  it('keeps what exists once visible until it is closed', async () => {
    const { root } = rootWithReports();
    const key = {};
    const single = { close: () => expect(root.single(key)).toBe(single) };
    root.addSingle(key, single);
    await root.close();
    expect(root.single(key)).toBeUndefined();
    expect(() => root.addSingle(key, single)).toThrow(code('ERR_SCOPE_CLOSED'));
  });

  it('closes also what exists once and was opened by a closer', async () => {
    const { root } = rootWithReports();
    let closed = 0;
    root.onClose(() => root.addSingle({}, { close: () => void closed++ }));
    await root.close();
    expect(closed).toBe(1);
  });

  it('drops what was taken out again', async () => {
    const { root } = rootWithReports();
    const key = {};
    const single = { close: () => expect.unreachable() };
    root.addSingle(key, single);
    root.removeSingle(key, { close: () => {} });
    expect(root.single(key)).toBe(single);
    root.removeSingle(key, single);
    await root.close();
  });

  it('refuses limits on a scope that shares the pools of its root', async () => {
    await withRoot(async () => {
      await expect(withScope(() => {}, { limits: { redis: 1 } })).rejects.toThrow(/uses the pools of its root/);
      await withScope(() => {}, { limits: {}, isolate: true });
    });
  });

  it.each([0, -1, 1.5, Number.POSITIVE_INFINITY, '5', null, { max: 0 }, { size: 1 }])('refuses the limit %j', (limit) => {
    const limits = { redis: limit } as never;
    expect(() => new Scope({ parent: null, limits })).toThrow(code('ERR_INVALID_OPTION'));
  });

  it('names withRoot() when an option of it is wrong', async () => {
    await expect(withRoot(() => {}, { limit: 1 } as never)).rejects.toThrow(
      /^withRoot\(\): limit must be absent: did you mean "limits"\? known are /,
    );
    await expect(withRoot(() => {}, { limits: { redis: 0 } })).rejects.toThrow(/^withRoot\(\): limits\.redis must be/);
  });

  it.each([{ limits: null }, { limits: [] }, { limits: 'redis' }, { limits: 5 }])('refuses $limits as limits', ({ limits }) => {
    expect(() => new Scope({ parent: null, limits: limits as never })).toThrow(code('ERR_INVALID_OPTION'));
  });

  it('reports at its close a limit whose pool nobody knows, with the known names', async () => {
    shared.pools.set('orders', {});
    try {
      const { root, reports } = rootWithReports({ limits: { redsi: 5, orders: { max: 1 } } });
      expect(reports).toEqual([]);
      await root.close();
      expect(reports).toEqual([{ error: code('ERR_UNKNOWN_LIMIT'), from: 'limits' }]);
      expect(String(reports[0]?.error)).toContain('"redsi" that nobody defined; known pools: orders');
    } finally {
      shared.pools.delete('orders');
    }
  });
});

describe('Scope rule 9: without a scope the error says what to do', () => {
  it('names the ways to open one', () => {
    expect(() => currentScope()).toThrow(/withRoot\(\).*scopeWorker\(\).*Scope\.process\(\)\.run\(\).*scope\.bind\(\)/);
  });
});
