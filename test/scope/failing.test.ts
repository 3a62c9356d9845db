import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { code, gate, rootWithReports, settled, unhandledIn, untilAborted } from './support.ts';

describe('Scope rule 6: the first failure cancels the rest, later ones are reported', () => {
  it('cancels body, tasks and children with the failure as reason', async () => {
    const error = new Error('no');
    const reasons: unknown[] = [];
    const note = (signal: AbortSignal) => untilAborted(signal).catch((reason) => void reasons.push(reason));
    const failing = withRoot(async (scope) => {
      scope.spawn(({ signal }) => note(signal));
      new Scope().spawn(({ signal }) => note(signal));
      scope.spawn(() => Promise.reject(error));
      await withScope(({ signal }) => note(signal));
    });
    await expect(failing).rejects.toBe(error);
    expect(reasons).toEqual([error, error, error]);
  });

  it('throws the first and reports the later ones, those of the clean-up too', async () => {
    const reports: unknown[] = [];
    const [first, second, third] = [new Error('first'), new Error('second'), new Error('third')];
    const failing = withRoot(
      (scope) => {
        scope.onClose(() => Promise.reject(third));
        scope.spawn(() => Promise.reject(first));
        scope.spawn(() => Promise.reject(second), { name: 'sync' });
      },
      { onSuppressed: (error, from) => void reports.push([error, from]) },
    );
    await expect(failing).rejects.toBe(first);
    expect(reports).toEqual([
      [second, 'sync'],
      [third, 'close'],
    ]);
  });

  it('throws a single failure of the clean-up as it is', async () => {
    const error = new Error('no');
    await expect(withRoot((scope) => void scope.onClose(() => Promise.reject(error)))).rejects.toBe(error);
  });

  it('throws several failures of the clean-up as one AggregateError, children and roots counted', async () => {
    const errors = ['child', 'second', 'first', 'single'].map((name) => new Error(name));
    const fail = (index: number) => () => Promise.reject(errors[index]);
    const failing = withRoot((scope) => {
      scope.addSingle({}, { close: fail(3) });
      scope.onClose(fail(2));
      scope.onClose(fail(1));
      new Scope().onClose(fail(0));
    });
    await expect(failing).rejects.toMatchObject({ name: 'AggregateError', errors });
  });

  it('reports nothing that only repeats the first failure', async () => {
    const reports: unknown[] = [];
    const error = new Error('no');
    const failing = withRoot(
      async (scope) => {
        scope.onClose(() => Promise.reject(error));
        scope.spawn(() => Promise.reject(error));
        await untilAborted(scope.signal).catch((cause) => Promise.reject(new Error('wrapped', { cause })));
      },
      { onSuppressed: (late) => void reports.push(late) },
    );
    await expect(failing).rejects.toBe(error);
    expect(reports).toEqual([]);
  });

  it('fails its supervisor once when the close was begun inside, too', async () => {
    const told: unknown[] = [];
    const { root } = rootWithReports({ onError: (error) => void told.push(error) });
    const error = new Error('no');
    const child = new Scope({ parent: root });
    child.spawn(() => {
      void child.close();
      throw error;
    });
    await root.close();
    expect(told).toEqual([error]);
  });

  it('reports to its own onSuppressed, else to the parent, with the way there', async () => {
    const { root, reports } = rootWithReports();
    const error = new Error('no');
    new Scope({ parent: root, name: 'child' }).report(error, 'task');
    expect(reports).toEqual([{ error, from: 'child/task' }]);
    await root.close();
  });

  it('warns the process when a root has no onSuppressed', async () => {
    const heard = gate<Error>();
    process.once('warning', heard.open);
    const root = new Scope({ parent: null });
    const error = new Error('no');
    root.report(error, 'task');
    expect(await heard.passed).toBe(error);
    await root.close();
  });

  it('closes though onSuppressed throws, and loses neither error', async () => {
    const warnings: unknown[] = [];
    const all = gate();
    const listen = (warning: Error) => void (warnings.push(warning) === 2 && all.open());
    process.on('warning', listen);
    const [broken, second] = [new Error('broken handler'), new Error('second')];
    const failing = withRoot(
      (scope) => {
        scope.onClose(() => Promise.reject(second));
        throw new Error('first');
      },
      {
        onSuppressed: () => {
          throw broken;
        },
      },
    );
    await expect(failing).rejects.toThrow('first');
    await all.passed;
    process.off('warning', listen);
    expect(warnings).toEqual([broken, second]);
  });

  describe('with onError', () => {
    it('ends with its first failure though what is reported beside it cannot be shown', async () => {
      const failed = new Error('failed');
      const warning = once(process, 'warning');
      const ended = withRoot((root) => {
        root.onClose(() => Promise.reject(Object.create(null)));
        throw failed;
      });
      await expect(ended).rejects.toBe(failed);
      expect((await warning)[0]).toMatchObject({ message: expect.stringContaining('an error that cannot be shown') });
    });

    it('lets siblings go on and tells each failure once', async () => {
      const told: unknown[] = [];
      const [task, child] = [new Error('task'), new Error('child')];
      let finished = false;
      await withRoot(
        (scope) => {
          scope.spawn(() => Promise.reject(task), { name: 'sync' });
          new Scope({ name: 'job' }).spawn(() => Promise.reject(child));
          scope.spawn(async () => {
            await settled();
            finished = true;
          });
        },
        { onError: (error, from) => void told.push([error, from]) },
      );
      expect(told).toEqual([
        [task, 'sync'],
        [child, 'job'],
      ]);
      expect(finished).toBe(true);
    });

    it('tells a failure of a child once when it fails while the supervisor closes', async () => {
      const told: unknown[] = [];
      const { root } = rootWithReports({ onError: (error) => void told.push(error) });
      const go = gate();
      const error = new Error('no');
      new Scope({ parent: root }).spawn(() => go.passed.then(() => Promise.reject(error)));
      const closing = root.close();
      await settled();
      go.open();
      await closing;
      expect(told).toEqual([error]);
    });

    it.each(['body', 'cancel', 'signal'])('supervises a task that is named %s', async (name) => {
      const told: unknown[] = [];
      await withRoot((scope) => void scope.spawn(() => Promise.reject(new Error('no')), { name }), {
        onError: (_, from) => void told.push(from),
      });
      expect(told).toEqual([name]);
    });

    it('still fails with its body, its signal and cancel', async () => {
      const onError = () => expect.unreachable();
      const error = new Error('no');
      await expect(withRoot(() => Promise.reject(error), { onError })).rejects.toBe(error);
      await expect(withRoot((scope) => scope.cancel(error), { onError })).rejects.toBe(error);
      const outside = new AbortController();
      await expect(withRoot(() => outside.abort(error), { onError, signal: outside.signal })).rejects.toBe(error);
    });

    it('fails with what onError throws', async () => {
      const worse = new Error('worse');
      const onError = () => {
        throw worse;
      };
      await expect(withRoot((scope) => void scope.spawn(() => Promise.reject(new Error('no'))), { onError })).rejects.toBe(worse);
    });
  });

  describe('opened by hand', () => {
    it('closes itself when something in it fails, and fails its parent', async () => {
      const { root } = rootWithReports();
      const error = new Error('no');
      const child = new Scope({ parent: root });
      let stopped = 0;
      child.onClose(() => void stopped++);
      child.spawn(() => Promise.reject(error));
      await expect(root.close()).rejects.toBe(error);
      expect([stopped, child.state]).toEqual([1, 'closed']);
    });

    it('at a root is one unhandledRejection with the failure itself', async () => {
      await unhandledIn(async (heard) => {
        const root = new Scope({ parent: null });
        const error = new Error('no');
        root.spawn(() => Promise.reject(error));
        expect(await heard(1)).toEqual([error]);
        expect(root.state).toBe('closed');
        await settled();
        expect(await heard(1)).toEqual([error]);
      });
    });

    it('at a root is nobody’s surprise when close is awaited', async () => {
      await unhandledIn(async (heard) => {
        const root = new Scope({ parent: null });
        const error = new Error('no');
        root.spawn(() => Promise.reject(error));
        await expect(root.close()).rejects.toBe(error);
        await settled();
        expect(await heard(0)).toEqual([]);
      });
    });
  });
});

describe('cancel', () => {
  it('without a reason is no failure: the value is returned', async () => {
    const value = await withRoot((scope) => {
      scope.spawn(({ signal }) => untilAborted(signal));
      scope.cancel();
      return 'value';
    });
    expect(value).toBe('value');
  });

  it('with a reason throws the reason', async () => {
    const reason = new Error('enough');
    await expect(withRoot((scope) => scope.cancel(reason))).rejects.toBe(reason);
  });

  it('of a parent ends its children without failing them by themselves', async () => {
    const reason = new Error('enough');
    const { root, reports } = rootWithReports();
    const job = withScope(({ signal }) => untilAborted(signal), { parent: root });
    root.cancel(reason);
    await expect(job).rejects.toBe(reason);
    await expect(root.close()).rejects.toBe(reason);
    expect(reports).toEqual([]);
  });

  it('after the close changes nothing', async () => {
    const { root, reports } = rootWithReports();
    const child = new Scope({ parent: root });
    await child.close();
    child.cancel(new Error('late'));
    expect(reports).toEqual([]);
    await root.close();
  });

  it('by a signal throws its reason', async () => {
    const outside = new AbortController();
    const failing = withRoot(({ signal }) => untilAborted(signal), { signal: outside.signal });
    outside.abort(new Error('deadline'));
    await expect(failing).rejects.toThrow('deadline');
  });

  it('by a signal that has aborted before runs no body', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(withRoot(() => expect.unreachable(), { signal })).rejects.toThrow('too late');
  });

  it('refuses children and resources with the reason as cause', async () => {
    const { root } = rootWithReports();
    const reason = new Error('enough');
    root.onClose(() => {});
    root.cancel(reason);
    const refused = { code: 'ERR_SCOPE_CANCELLED', cause: reason };
    await expect(withScope(() => expect.unreachable(), { parent: root })).rejects.toMatchObject(refused);
    await expect(root.open(() => expect.unreachable())).rejects.toMatchObject(refused);
    await expect(root.close()).rejects.toBe(reason);
  });

  it('by one signal for many scopes warns of no leak and leaves no listener', async () => {
    const warnings: unknown[] = [];
    const listen = (warning: Error) => void warnings.push(warning);
    process.on('warning', listen);
    const outside = new AbortController();
    await withRoot(async () => {
      for (let count = 0; count < 30; count++) new Scope({ signal: outside.signal });
      await settled();
    });
    outside.abort();
    await settled();
    process.off('warning', listen);
    expect(warnings).toEqual([]);
  });
});

describe('What a scope refuses', () => {
  const bad = (what: unknown) => what as never;

  it.each<[string, object]>([
    ['an unknown option', { nmae: 'x' }],
    ['an empty name', { name: ' ' }],
    ['a name of a wrong type', { name: 5 }],
    ['a parent that is no scope', { parent: { root: 1 } }],
    ['isolate of a wrong type', { isolate: 'yes' }],
    ['a signal that is none', { signal: new AbortController() }],
    ['a negative graceMs', { graceMs: -1 }],
    ['graceMs that is no number', { graceMs: Number.NaN }],
    ['cancelMs of a wrong type', { cancelMs: '5' }],
    ['onError that is no function', { onError: true }],
    ['onSuppressed that is no function', { onSuppressed: {} }],
  ])('%s', async (_, options) => {
    expect(() => new Scope({ parent: null, ...options })).toThrow(code('ERR_INVALID_OPTION'));
    await expect(
      withRoot(() => expect.unreachable(), bad({ ...options, parent: undefined, ...('parent' in options && { x: 1 }) })),
    ).rejects.toThrow(code('ERR_INVALID_OPTION'));
  });

  it('wrong arguments of every method, at once', async () => {
    const { root } = rootWithReports();
    for (const use of [
      () => new Scope(bad(null)),
      () => root.run(bad(undefined)),
      () => root.bind(bad('fn')),
      () => root.spawn(bad(undefined)),
      () => root.spawn(() => {}, bad({ backgruond: true })),
      () => root.spawn(() => {}, bad({ background: 1 })),
      () => root.onClose(bad({})),
      () => root.onClose(() => {}, { timeoutMs: 0 }),
      () => root.on(bad({}), 'x', () => {}),
      () => root.on(bad(undefined), 'x', () => {}),
      () => root.on(new EventTarget(), 'x', bad(undefined)),
      () => root.close({ graceMs: -1 }),
      () => root.close(bad({ grace: 1 })),
    ])
      expect(use).toThrow(code('ERR_INVALID_OPTION'));
    await expect(root.open(bad(undefined))).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await expect(root.open(() => {}, bad('stop'))).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await expect(
      root.open(
        () => {},
        () => {},
        bad({ timeout: 1 }),
      ),
    ).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await expect(withScope(bad(undefined), { parent: root })).rejects.toThrow(code('ERR_INVALID_OPTION'));
    await expect(withRoot(bad(undefined))).rejects.toThrow(code('ERR_INVALID_OPTION'));
    expect([root.state, root.tree().children]).toEqual(['open', []]);
    await root.close();
  });
});
