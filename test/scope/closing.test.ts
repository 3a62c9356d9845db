import { describe, expect, it } from 'vitest';
import { currentScope, Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { code, forever, gate, rootWithReports, settled, unhandledIn, untilAborted } from './support.ts';

describe('Scope rule 5: closing drains, cancels, unwinds', () => {
  it('admits nothing new from outside while it drains, but what runs may begin more', async () => {
    const { root } = rootWithReports();
    const go = gate();
    let below = 0;
    root.spawn(async () => {
      await go.passed;
      await withScope(() => void below++);
      await root.spawn(() => void below++);
      await root.open(
        () => void below++,
        () => {},
      );
    });
    const closing = root.close();
    expect(root.state).toBe('draining');
    expect(() => root.spawn(() => {})).toThrow(code('ERR_SCOPE_CLOSED'));
    expect(() => new Scope({ parent: root })).toThrow(code('ERR_SCOPE_CLOSED'));
    go.open();
    await closing;
    expect(below).toBe(3);
  });

  it('waits for tasks and child scopes together, cancels after graceMs, and ends when they do', async () => {
    const { root } = rootWithReports({ graceMs: 1 });
    const ended: string[] = [];
    const child = new Scope({ parent: root });
    for (const scope of [root, child]) {
      scope.spawn(({ signal }) => untilAborted(signal).catch(() => void ended.push(scope.name)));
    }
    await root.close();
    expect(ended.sort()).toEqual(['root', 'scope']);
    expect([child.state, root.state]).toEqual(['closed', 'closed']);
  });

  it('does not cancel what ends within graceMs', async () => {
    const { root } = rootWithReports();
    const task = root.spawn(async ({ signal }) => {
      await settled();
      return signal.aborted;
    });
    await root.close({ graceMs: 10_000 });
    expect(await task).toBe(false);
  });

  it('waits after the cancel up to cancelMs, then names what was left behind and unwinds', async () => {
    let stopped = 0;
    const { root } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    root.onClose(() => void stopped++);
    root.spawn(forever, { name: 'fetch orders' });
    root.spawn(forever, { name: 'upkeep', background: true });
    await expect(root.close()).rejects.toMatchObject({ code: 'ERR_SCOPE_TIMEOUT', pending: ['fetch orders', 'upkeep'] });
    expect(stopped).toBe(1);
  });

  it('closes a child that was left behind, stops what stood in it, and reports what failed there', async () => {
    const { root, reports } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    const order: string[] = [];
    const started = gate();
    void withScope(
      async (scope) => {
        scope.onClose(() => void order.push('child'));
        started.open();
        await forever();
      },
      { parent: root, name: 'job' },
    );
    await started.passed;
    root.onClose(() => void order.push('root'));
    await expect(root.close()).rejects.toMatchObject({ pending: ['job'] });
    expect(order).toEqual(['child', 'root']);
    expect(reports).toEqual([{ error: expect.objectContaining({ pending: ['its body'] }), from: 'job' }]);
  });

  it('hears what fails late in a task that was left behind', async () => {
    const { root, reports } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    const hanging = gate();
    const late = new Error('late');
    root.spawn(() => hanging.passed, { name: 'fetch' });
    await expect(root.close()).rejects.toThrow(code('ERR_SCOPE_TIMEOUT'));
    hanging.fail(late);
    await settled();
    expect(reports).toEqual([{ error: late, from: 'fetch' }]);
  });

  it('ends the waiting when a later close has graceMs 0, and still gives cancelMs', async () => {
    const { root } = rootWithReports({ graceMs: Number.POSITIVE_INFINITY });
    let ended = false;
    root.spawn(async ({ signal }) => {
      await untilAborted(signal).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 5));
      ended = true;
    });
    const closing = root.close();
    await settled();
    expect(root.close({ graceMs: 0 })).toBe(closing);
    await closing;
    expect(ended).toBe(true);
  });

  it('ends all waiting when a later close has cancelMs 0, too', async () => {
    const { root } = rootWithReports({ graceMs: Number.POSITIVE_INFINITY, cancelMs: Number.POSITIVE_INFINITY });
    root.spawn(forever);
    const closing = root.close();
    await settled();
    await expect(root.close({ graceMs: 0, cancelMs: 0 })).rejects.toThrow(code('ERR_SCOPE_TIMEOUT'));
    await expect(closing).rejects.toThrow(code('ERR_SCOPE_TIMEOUT'));
  });

  it('takes its own times where close has none', async () => {
    const { root } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    root.spawn(forever);
    const options = { graceMs: undefined, cancelMs: undefined } as object;
    await expect(root.close(options)).rejects.toThrow(code('ERR_SCOPE_TIMEOUT'));
  });

  it('closes a scope that was opened by hand while it drains and that nobody closes', async () => {
    const { root } = rootWithReports({ graceMs: Number.POSITIVE_INFINITY });
    const go = gate();
    let child: Scope | undefined;
    root.spawn(async () => {
      await go.passed;
      child = new Scope();
      await child.spawn(settled);
    });
    const closing = root.close();
    go.open();
    await closing;
    expect(child?.state).toBe('closed');
  });

  it('runs closers in the scope, not in what began the close', async () => {
    const { root } = rootWithReports();
    let seen: Scope | undefined;
    root.onClose(() => {
      seen = currentScope();
    });
    await withRoot(() => root.close());
    expect(seen).toBe(root);
  });

  it('still closes when its signal makes somebody close it again', async () => {
    for (const used of [true, false]) {
      const { root } = rootWithReports();
      let stopped = 0;
      if (used) root.onClose(() => void stopped++);
      root.signal.addEventListener('abort', () => void root.close());
      await root.close();
      expect(stopped).toBe(used ? 1 : 0);
    }
  });
  it('stops each resource once when what it closes closes it again', async () => {
    const { root } = rootWithReports();
    let stopped = 0;
    root.onClose(() => void stopped++);
    new Scope({ parent: root }).signal.addEventListener('abort', () => void root.close());
    await root.close();
    expect(stopped).toBe(1);
  });

  it('ends the drain when it is cancelled meanwhile', async () => {
    const { root } = rootWithReports({ graceMs: Number.POSITIVE_INFINITY, cancelMs: Number.POSITIVE_INFINITY });
    root.spawn(forever, { name: 'fetch' });
    const closing = root.close({ cancelMs: 1 });
    await settled();
    root.cancel();
    await expect(closing).rejects.toMatchObject({ pending: ['fetch'] });
  });

  it('gives the body of withScope its time after a failure', async () => {
    const error = new Error('no');
    const reports: unknown[] = [];
    const failing = withRoot(
      async (scope) => {
        scope.spawn(() => Promise.reject(error));
        await new Promise((resolve) => setTimeout(resolve, 10));
      },
      { cancelMs: 1, onSuppressed: (late) => void reports.push(late) },
    );
    await expect(failing).rejects.toBe(error);
    expect(reports).toEqual([]);
  });

  it('aborts its signal also when it was never used', async () => {
    const { root } = rootWithReports();
    const { signal } = root;
    await root.close();
    expect(signal.aborted).toBe(true);
  });

  it('admits nothing from a closer that has ended', async () => {
    const { root } = rootWithReports();
    const refused = gate<unknown>();
    root.onClose(() => refused.passed);
    root.onClose(() => {
      setImmediate(() => {
        try {
          refused.open(root.spawn(() => {}));
        } catch (error) {
          refused.open(error);
        }
      });
    });
    await root.close();
    expect(await refused.passed).toEqual(code('ERR_SCOPE_CLOSED'));
  });
});

describe('Scope rule 7: a closed scope throws, close is idempotent', () => {
  it('closes once, with one promise for all', async () => {
    const { root } = rootWithReports();
    let times = 0;
    root.onClose(() => void times++);
    const closing = root.close();
    expect(root.close()).toBe(closing);
    await closing;
    expect(root.close()).toBe(closing);
    expect(times).toBe(1);
  });

  it('gives every caller the same failure', async () => {
    const { root } = rootWithReports();
    const error = new Error('no');
    root.onClose(() => Promise.reject(error));
    await expect(root.close()).rejects.toBe(error);
    await expect(root.close()).rejects.toBe(error);
  });

  it('is closed by await using', async () => {
    let kept: Scope;
    {
      await using scope = new Scope({ parent: null });
      kept = scope;
    }
    expect(kept.state).toBe('closed');
  });

  it('throws from everything once it is closed, also in a timer that still carries it', async () => {
    const { root } = rootWithReports();
    const late = gate();
    const later = root.bind(() => withScope(() => {}).then(late.open, late.fail));
    await root.close();
    void later();
    await expect(late.passed).rejects.toThrow(code('ERR_SCOPE_CLOSED'));
    for (const use of [
      () => root.run(() => {}),
      () => root.spawn(() => {}),
      () => root.onClose(() => {}),
      () => root.on(new EventTarget(), 'x', () => {}),
      () => new Scope({ parent: root }),
    ])
      expect(use).toThrow(code('ERR_SCOPE_CLOSED'));
    await expect(root.open(() => {})).rejects.toThrow(code('ERR_SCOPE_CLOSED'));
  });

  it.each(['task', 'task of a child', 'body of a child', 'closer'])(
    'throws a deadlock error when awaited inside its own %s',
    async (where) => {
      const { root } = rootWithReports();
      const caught = gate<unknown>();
      const close = () => root.close().then(caught.open, caught.open);
      if (where === 'task') root.spawn(close);
      if (where === 'task of a child') new Scope({ parent: root }).spawn(close);
      if (where === 'body of a child') void withScope(close, { parent: root });
      if (where === 'closer') root.onClose(close);
      const closing = where === 'closer' ? root.close() : undefined;
      expect(await caught.passed).toEqual(code('ERR_SCOPE_DEADLOCK'));
      await closing;
      await root.close();
      expect(root.state).toBe('closed');
    },
  );

  it.each(['task', 'task of a child', 'body of a child'])('only begun inside its own %s, it closes', async (where) => {
    const { root, reports } = rootWithReports();
    const begin = () => {
      void root.close();
      return settled();
    };
    if (where === 'task') root.spawn(begin);
    if (where === 'task of a child') new Scope({ parent: root }).spawn(begin);
    if (where === 'body of a child') void withScope(begin, { parent: root });
    expect(root.state).toBe('draining');
    await root.close();
    expect(reports).toEqual([]);
  });

  it('awaited inside a scope of its own root that does not wait for it, it closes', async () => {
    await withRoot(async () => {
      const child = new Scope({ name: 'child' });
      child.spawn(settled);
      await child.close();
    });
  });

  it('may be awaited by what once ran inside it', async () => {
    const { root } = rootWithReports();
    const over = gate();
    const closed = gate();
    await withScope(() => void over.passed.then(() => root.close()).then(closed.open, closed.fail), { parent: root });
    over.open();
    await closed.passed;
  });

  it('may be awaited by what a task that has ended left running', async () => {
    const { root } = rootWithReports();
    const closed = gate();
    await root.spawn(() => {
      setImmediate(() => root.close().then(closed.open, closed.fail));
    });
    await closed.passed;
  });

  it('fails the parent when a close that nobody awaits was begun inside a child', async () => {
    const { root } = rootWithReports();
    const error = new Error('no');
    const child = new Scope({ parent: root });
    child.onClose(() => Promise.reject(error));
    child.spawn(() => void child.close());
    await expect(root.close()).rejects.toBe(error);
    expect(root.signal.reason).toBe(error);
  });

  it('is no unhandled rejection when the body of withScope has begun it', async () => {
    await unhandledIn(async (heard) => {
      const error = new Error('no');
      const failing = withRoot(
        async (scope) => {
          scope.onClose(() => Promise.reject(error));
          void scope.close({ graceMs: 0, cancelMs: 0 });
          while (scope.state !== 'closed') await settled();
          await settled();
        },
        { onSuppressed: () => {} },
      );
      await expect(failing).rejects.toMatchObject({ errors: [code('ERR_SCOPE_TIMEOUT'), error] });
      expect(await heard(0)).toEqual([]);
    });
  });

  it('hands a failure to the process when a close that nobody awaits was begun inside', async () => {
    await unhandledIn(async (heard) => {
      const { root } = rootWithReports();
      const error = new Error('no');
      root.onClose(() => Promise.reject(error));
      root.spawn(() => void root.close());
      expect(await heard(1)).toEqual([error]);
    });
  });
});
