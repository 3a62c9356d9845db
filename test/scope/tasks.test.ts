import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { currentScope, Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { code, forever, gate, rootWithReports, settled, untilAborted } from './support.ts';

describe('Scope rule 3: spawn starts a tracked task', () => {
  it('starts at once and gives the value', async () => {
    await withRoot(async (scope) => {
      let started = false;
      const task = scope.spawn(() => {
        started = true;
        return 7;
      });
      expect(started).toBe(true);
      expect(await task).toBe(7);
    });
  });

  it('runs in the scope it is called on, whoever calls, and outlives the caller', async () => {
    const { root } = rootWithReports();
    const end = gate();
    let seen: Scope | undefined;
    await withScope(
      () => {
        root.spawn(async () => {
          await end.passed;
          seen = currentScope();
        });
      },
      { parent: root },
    );
    expect(seen).toBeUndefined();
    end.open();
    await root.close();
    expect(seen).toBe(root);
  });

  it('makes the signal when it is read, once, and aborts it with the scope', async () => {
    const { root } = rootWithReports();
    const reason = new Error('enough');
    let late: AbortSignal | undefined;
    const asked = gate();
    const task = root.spawn(async (context) => {
      expect(context.signal).toBe(context.signal);
      await untilAborted(context.signal).catch(() => {});
      late = context.signal;
      asked.open();
    });
    expect(task.signal.aborted).toBe(false);
    root.cancel(reason);
    await asked.passed;
    expect(late).toBe(task.signal);
    expect(task.signal.reason).toBe(reason);
    await expect(root.close()).rejects.toBe(reason);
  });

  it('tells a task that asks for its signal after the cancel', async () => {
    const { root } = rootWithReports();
    const cancelled = gate();
    const task = root.spawn(async (context) => {
      await cancelled.passed;
      return context.signal.aborted;
    });
    root.cancel();
    cancelled.open();
    expect(await task).toBe(true);
    await root.close();
  });

  it('cancels one task and nothing else', async () => {
    await withRoot(async (scope) => {
      const other = scope.spawn(async ({ signal }) => {
        await settled();
        return signal.aborted;
      });
      const task = scope.spawn(({ signal }) => untilAborted(signal), { name: 'one' });
      task.cancel();
      await expect(task).rejects.toThrow('task "one" was cancelled');
      expect(await other).toBe(false);
      expect(scope.signal.aborted).toBe(false);
    });
  });

  it('does not wait for a background task, cancels it and awaits its end before anything is stopped', async () => {
    const order: string[] = [];
    await withRoot((scope) => {
      scope.onClose(() => void order.push('closer'));
      scope.spawn(
        async ({ signal }) => {
          await untilAborted(signal).catch(() => {});
          await settled();
          order.push('background');
        },
        { background: true },
      );
    });
    expect(order).toEqual(['background', 'closer']);
  });

  it('cancels a background task that listens to the signal of its scope', async () => {
    await withRoot((scope) => void scope.spawn(() => untilAborted(scope.signal), { background: true }));
  });

  it.each(['of withScope', 'opened by hand'])('does not wait for a scope in a background task, %s, and cancels it', async (kind) => {
    const order: string[] = [];
    const work = async (signal: AbortSignal) => {
      await untilAborted(signal).catch(() => {});
      order.push('cancelled');
    };
    await withRoot((scope) => {
      scope.onClose(() => void order.push('closer'));
      scope.spawn(
        async () => {
          if (kind === 'of withScope') return withScope(({ signal }) => work(signal));
          const child = new Scope();
          return child.run(() => work(child.signal));
        },
        { background: true },
      );
    });
    expect(order).toEqual(['cancelled', 'closer']);
  });

  it('closes a scope that a background task has opened by hand and left open', async () => {
    const child = await withRoot((scope) => scope.spawn(() => ({ opened: new Scope() }), { background: true }));
    expect(child.opened.state).toBe('closed');
  });

  it('waits for a scope that a callback opens which a background task has left, as a server does, when that has ended', async () => {
    const ended = gate();
    const job = vi.fn();
    await withRoot(async (scope) => {
      const opened = gate();
      const callback = async () => {
        await ended.passed;
        const work = withScope(async ({ signal }) => {
          await sleep(20);
          job(signal.aborted);
        });
        opened.open();
        await work;
      };
      await scope.spawn(() => void callback(), { background: true });
      ended.open();
      await opened.passed;
    });
    expect(job.mock.calls).toEqual([[false]]);
  });

  it('waits for a scope that was opened elsewhere while a background task has one, too', async () => {
    const order: string[] = [];
    await withRoot((scope) => {
      scope.spawn(() => withScope(({ signal }) => untilAborted(signal)), { background: true });
      scope.spawn(() =>
        withScope(async () => {
          await sleep(20);
          order.push('done');
        }),
      );
    });
    expect(order).toEqual(['done']);
  });

  it('fails its scope though somebody awaits and catches the failure', async () => {
    const error = new Error('no');
    const failing = withRoot(async (scope) => {
      await scope.spawn(() => Promise.reject(error)).catch(() => {});
      return 'fine';
    });
    await expect(failing).rejects.toBe(error);
  });

  it('fails its scope with undefined, too', async () => {
    const failing = withRoot((scope) => void scope.spawn(() => Promise.reject(undefined)));
    expect(
      await failing.then(
        () => 'fulfilled',
        () => 'rejected',
      ),
    ).toBe('rejected');
  });

  it('takes no failure for an error that only repeats the cancellation', async () => {
    const { root, reports } = rootWithReports();
    const reason = new Error('enough');
    root.spawn(({ signal }) => untilAborted(signal));
    root.spawn(async ({ signal }) => untilAborted(signal).catch((cause) => Promise.reject(new Error('wrapped', { cause }))));
    root.spawn(async ({ signal }) => untilAborted(signal).catch(() => Promise.reject(new DOMException('of fetch', 'AbortError'))));
    root.cancel(reason);
    await expect(root.close()).rejects.toBe(reason);
    expect(reports).toEqual([]);
  });

  it('is named by its option, else its function', async () => {
    await withRoot((scope) => {
      expect(scope.spawn(function sendMail() {}).name).toBe('sendMail');
      expect(scope.spawn(() => {}).name).toBe('task');
      expect(scope.spawn(() => {}, { name: 'mail' }).name).toBe('mail');
    });
  });

  it('starts nothing in a cancelled or closed scope', async () => {
    const { root } = rootWithReports();
    root.spawn(forever, { background: true });
    root.cancel();
    expect(() => root.spawn(() => expect.unreachable())).toThrow(code('ERR_SCOPE_CANCELLED'));
    await root.close({ cancelMs: 0 }).catch(() => {});
    expect(() => root.spawn(() => expect.unreachable())).toThrow(code('ERR_SCOPE_CLOSED'));
  });
});
