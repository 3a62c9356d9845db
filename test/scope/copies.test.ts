import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { VERSION } from '../../src/context.ts';
import * as first from '../../src/scope/index.ts';
import { gate, rootWithReports, settled, untilAborted } from './support.ts';

describe('Two copies of the package in one process', () => {
  let second: typeof first;

  beforeEach(async () => {
    vi.resetModules();
    second = await import('../../src/scope/index.ts');
    expect(second.Scope).not.toBe(first.Scope);
  });

  it('see the same scope, and both call it a Scope', async () => {
    const { root } = rootWithReports();
    expect(root.run(second.currentScope)).toBe(root);
    expect(root).toBeInstanceOf(second.Scope);
    expect({}).not.toBeInstanceOf(second.Scope);
    expect(second.Scope.process()).toBe(first.Scope.process());
    await first.Scope.process().close();
    await root.close();
  });

  it('nest: a scope of one below a root of the other is waited for and closed with it', async () => {
    const { root } = rootWithReports();
    const answer = gate();
    let stopped = 0;
    const job = root.run(() =>
      second.withScope(async (scope) => {
        expect([scope.parent, scope.root]).toEqual([root, root]);
        scope.onClose(() => void stopped++);
        await answer.passed;
      }),
    );
    const byHand = new second.Scope({ parent: root });
    byHand.onClose(() => void stopped++);
    const closing = root.close();
    await settled();
    expect(root.state).toBe('draining');
    answer.open();
    await Promise.all([job, closing]);
    expect([stopped, byHand.state]).toEqual([2, 'closed']);
  });

  it('fail and cancel each other', async () => {
    const { root } = rootWithReports();
    const error = new Error('no');
    const job = first.withScope(({ signal }) => untilAborted(signal), { parent: root });
    new second.Scope({ parent: root }).spawn(() => Promise.reject(error));
    await expect(job).rejects.toBe(error);
    await expect(root.close()).rejects.toBe(error);
  });

  it('know each other’s errors and deadlocks', async () => {
    const { root } = rootWithReports();
    const { ScopeDeadlockError } = await import('../../src/errors.ts');
    const caught = new second.Scope({ parent: root }).spawn(() => root.close().catch((error: unknown) => error));
    expect(await caught).toBeInstanceOf(ScopeDeadlockError);
    await root.close();
  });
});

describe('An incompatible copy', () => {
  const key = Symbol.for('scoped-pool');
  const place = globalThis as unknown as Record<symbol, unknown>;
  const mine = place[key];
  let second: typeof first;

  beforeEach(async () => {
    place[key] = { protocol: 99, version: '9.9.9', process: { state: 'open' } };
    vi.resetModules();
    second = await import('../../src/scope/index.ts');
  });

  afterEach(() => {
    place[key] = mine;
  });

  it('gets an error with both versions, whatever it begins with', async () => {
    const incompatible = {
      code: 'ERR_INCOMPATIBLE_COPY',
      message: expect.stringContaining(`scoped-pool ${VERSION} and scoped-pool 9.9.9`),
    };
    for (const begin of [
      second.currentScope,
      second.tryCurrentScope,
      () => second.Scope.process(),
      () => new second.Scope({ parent: null }),
    ]) {
      expect(begin).toThrow(expect.objectContaining(incompatible));
    }
    await expect(second.withRoot(() => {})).rejects.toMatchObject(incompatible);
    await expect(second.withScope(() => {})).rejects.toMatchObject(incompatible);
  });
});
