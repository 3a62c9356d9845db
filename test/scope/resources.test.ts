import { describe, expect, it } from 'vitest';
import { currentScope, type Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { code, forever, gate, rootWithReports, settled, untilAborted } from './support.ts';

describe('Scope rule 4: open starts now and stops at the close', () => {
  it('gives what was started and stops it, newest first, one at a time', async () => {
    const order: string[] = [];
    const stop = async (name: string) => {
      order.push(`${name} stops`);
      await settled();
      order.push(`${name} stopped`);
    };
    await withRoot(async (scope) => {
      expect(await scope.open(() => 'database', stop)).toBe('database');
      scope.onClose(() => void order.push('closer'));
      await scope.open(async () => 'server', stop);
      expect(order).toEqual([]);
    });
    expect(order).toEqual(['server stops', 'server stopped', 'closer', 'database stops', 'database stopped']);
  });

  it.each([Symbol.asyncDispose, Symbol.dispose])('stops a resource without a stop by its own %s', async (symbol) => {
    let disposed = 0;
    await withRoot((scope) => scope.open(() => ({ [symbol]: () => void disposed++ })).then(() => {}));
    expect(disposed).toBe(1);
  });

  it.each(['withRoot', 'new Scope'])('stops what stood before a failed start, in %s', async (how) => {
    const order: string[] = [];
    const error = new Error('no port');
    const app = async (scope: Scope) => {
      await scope.open(
        () => 'database',
        (name) => void order.push(name),
      );
      await scope.open(
        () => 'cache',
        (name) => void order.push(name),
      );
      await scope.open(
        () => Promise.reject(error),
        () => expect.unreachable(),
      );
    };
    if (how === 'withRoot') await expect(withRoot(app)).rejects.toBe(error);
    else {
      const { root } = rootWithReports();
      await expect(app(root)).rejects.toBe(error);
      await expect(root.close()).rejects.toBe(error);
      expect(root.state).toBe('closed');
    }
    expect(order).toEqual(['cache', 'database']);
  });

  it('lets a supervised scope live on after a failed start, which leaves nothing in it', async () => {
    const errors: unknown[] = [];
    const { root } = rootWithReports({ onError: (error) => void errors.push(error) });
    const error = new Error('no port');
    let below: AbortSignal | undefined;
    const start = (inner: Scope) => {
      below = inner.spawn(({ signal }) => untilAborted(signal)).signal;
      throw error;
    };
    await expect(root.open(start, () => {}, { name: 'http' })).rejects.toBe(error);
    await settled();
    expect(errors).toEqual([error]);
    expect(below?.aborted).toBe(true);
    expect(root.tree().children).toEqual([]);
    await root.close();
  });

  it('rejects at once when the scope is cancelled while starting, and stops the resource once when it arrives', async () => {
    const { root, reports } = rootWithReports();
    const arriving = gate<string>();
    const reason = new Error('enough');
    const stopped: string[] = [];
    const opening = root.open(
      () => arriving.passed,
      (name) => void stopped.push(name),
    );
    root.cancel(reason);
    await expect(opening).rejects.toMatchObject({ code: 'ERR_SCOPE_CANCELLED', cause: reason });
    expect(stopped).toEqual([]);
    arriving.open('late');
    await expect(root.close()).rejects.toBe(reason);
    expect(stopped).toEqual(['late']);
    expect(reports).toEqual([]);
  });

  it('stops a resource that arrives after its scope gave up, once', async () => {
    const { root } = rootWithReports();
    const arriving = gate<string>();
    const stopped: string[] = [];
    const opening = root.open(
      () => arriving.passed,
      (name) => void stopped.push(name),
      { name: 'db', timeoutMs: 1 },
    );
    root.cancel();
    await expect(opening).rejects.toThrow(code('ERR_SCOPE_CANCELLED'));
    await expect(root.close()).rejects.toMatchObject({ code: 'ERR_SCOPE_TIMEOUT', pending: ['stop of db'] });
    arriving.open('late');
    await settled();
    expect(stopped).toEqual(['late']);
  });

  it('does not lose a start that fails after the cancel', async () => {
    const { root, reports } = rootWithReports();
    const arriving = gate();
    const [reason, late] = [new Error('enough'), new Error('late')];
    const opening = root.open(
      () => arriving.passed,
      () => expect.unreachable(),
      { name: 'db' },
    );
    root.cancel(reason);
    await expect(opening).rejects.toThrow(code('ERR_SCOPE_CANCELLED'));
    arriving.fail(late);
    await expect(root.close()).rejects.toBe(reason);
    expect(reports).toEqual([{ error: late, from: 'db' }]);
  });

  it('stops a resource whose start closed or cancelled the scope itself', async () => {
    for (const end of ['close', 'cancel'] as const) {
      const { root } = rootWithReports();
      let stopped = 0;
      const start = () => {
        void root[end]();
        return 'resource';
      };
      await root.open(start, () => void stopped++).catch(() => {});
      await root.close();
      expect(stopped).toBe(1);
    }
  });

  it('counts what a start begins in the same scope as newer than the resource', async () => {
    const order: string[] = [];
    await withRoot((scope) =>
      scope.open(
        () => void scope.onClose(() => void order.push('begun in the start')),
        () => void order.push('resource'),
      ),
    );
    expect(order).toEqual(['begun in the start', 'resource']);
  });

  it('names a hanging stop and passes it over', async () => {
    const order: string[] = [];
    const { root } = rootWithReports();
    root.onClose(() => void order.push('database'));
    await root.open(() => {}, forever, { name: 'server', timeoutMs: 1 });
    root.onClose(forever, { name: 'metrics', timeoutMs: 1 });
    const error = await root.close().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ errors: [{ pending: ['stop of metrics'] }, { pending: ['stop of server'] }] });
    expect(order).toEqual(['database']);
  });

  it('cancels what runs below a resource whose stop hangs', async () => {
    const { root } = rootWithReports();
    let request: AbortSignal | undefined;
    const start = (inner: Scope) => {
      request = inner.spawn(({ signal }) => untilAborted(signal)).signal;
    };
    await root.open(start, forever, { name: 'http', timeoutMs: 1 });
    await expect(root.close()).rejects.toMatchObject({ pending: ['stop of http'] });
    expect(request?.aborted).toBe(true);
  });

  it('reports a stop that fails after it was passed over', async () => {
    const { root, reports } = rootWithReports();
    const stopping = gate();
    const late = new Error('late');
    root.onClose(() => stopping.passed, { name: 'server', timeoutMs: 1 });
    await expect(root.close()).rejects.toMatchObject({ pending: ['stop of server'] });
    stopping.fail(late);
    await settled();
    expect(reports).toEqual([{ error: late, from: 'server' }]);
  });

  it('loses neither the failure of a stop nor what failed below its resource', async () => {
    const { root } = rootWithReports();
    const [stop, below] = [new Error('stop'), new Error('below')];
    await root.open(
      (inner) => void inner.onClose(() => Promise.reject(below)),
      () => Promise.reject(stop),
    );
    await expect(root.close()).rejects.toMatchObject({ errors: [stop, below] });
  });

  it('hangs what the callbacks of a resource start below it: it goes on until the stop, and ends before older resources', async () => {
    const order: string[] = [];
    const answer = gate();
    const { root } = rootWithReports();
    let handle = () => {};
    root.onClose(() => void order.push('database'));
    await root.open(
      (inner) => {
        handle = inner.bind(() => {
          expect(currentScope()).toBe(inner);
          void withScope(() => answer.passed.then(() => void order.push('answered')));
        });
      },
      () => {
        order.push('stop listening');
        answer.open();
      },
      { name: 'http' },
    );
    handle();
    await root.close();
    expect(order).toEqual(['stop listening', 'answered', 'database']);
  });

  it('fails the scope when something below a resource fails, and says where', async () => {
    const { root, reports } = rootWithReports();
    const [first, second] = [new Error('first'), new Error('second')];
    await root.open(
      (inner) => {
        inner.spawn(() => Promise.reject(first));
        inner.spawn(() => Promise.reject(second), { name: 'request' });
      },
      () => {},
      { name: 'http' },
    );
    await expect(root.close()).rejects.toBe(first);
    expect(reports).toEqual([{ error: second, from: 'http/request' }]);
  });

  it('cancels the scope below a resource when it is asked to, also under a supervisor', async () => {
    const errors: unknown[] = [];
    const { root } = rootWithReports({ onError: (error) => void errors.push(error) });
    const reason = new Error('enough');
    const inner = await root.open(
      (scope) => scope,
      () => {},
    );
    inner.cancel(reason);
    expect(inner.signal.reason).toBe(reason);
    expect(errors).toEqual([reason]);
    expect(root.signal.aborted).toBe(false);
    await root.close();
  });

  it('calls an onClose that was taken back no more', async () => {
    const { root } = rootWithReports();
    root.onClose(() => expect.unreachable())();
    await root.close();
  });

  it('takes back an onClose once, and never another', async () => {
    const { root } = rootWithReports();
    let stopped = 0;
    root.onClose(() => void stopped++);
    const undo = root.onClose(() => expect.unreachable());
    undo();
    undo();
    await root.close();
    expect(stopped).toBe(1);
  });

  it('reports what fails below a failed start of a supervised scope', async () => {
    const { root, reports } = rootWithReports({ onError: () => {} });
    const error = new Error('below');
    const start = (inner: Scope) => {
      inner.onClose(() => Promise.reject(error));
      throw new Error('no port');
    };
    await expect(root.open(start, () => {}, { name: 'http' })).rejects.toThrow('no port');
    await settled();
    expect(reports).toEqual([{ error, from: 'http' }]);
    await root.close();
  });

  it('lets siblings below a resource go on under a supervisor', async () => {
    const { root } = rootWithReports({ onError: () => {} });
    const inner = await root.open(
      (scope) => scope,
      () => {},
    );
    const sibling = inner.spawn(({ signal }) => settled().then(() => signal.aborted));
    inner.spawn(() => Promise.reject(new Error('no')));
    expect(await sibling).toBe(false);
    await root.close();
  });

  it('takes no failure for a start that only repeats the cancellation', async () => {
    const { root, reports } = rootWithReports();
    const opening = root.open((inner) => untilAborted(inner.signal).catch((error) => settled().then(() => Promise.reject(error))));
    root.cancel();
    await expect(opening).rejects.toThrow(code('ERR_SCOPE_CANCELLED'));
    await root.close();
    expect(reports).toEqual([]);
  });

  it('runs what a closer adds, and lets a closer open resources in a cancelled scope', async () => {
    const order: string[] = [];
    const { root } = rootWithReports();
    root.onClose(async () => {
      root.onClose(() => void order.push('added'));
      await root.open(
        () => void order.push('opened'),
        () => void order.push('stopped'),
      );
    });
    root.cancel();
    await root.close();
    expect(order).toEqual(['opened', 'stopped', 'added']);
  });

  it('ends what a closer has begun and not awaited', async () => {
    const { root } = rootWithReports();
    const signals: AbortSignal[] = [];
    const work = () => {
      signals.push(root.spawn(({ signal }) => untilAborted(signal)).signal);
      void withScope(({ signal }) => {
        signals.push(signal);
        return untilAborted(signal);
      }).catch(() => {});
    };
    root.onClose(work);
    await root.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(root.tree().children).toEqual([]);
  });
});
