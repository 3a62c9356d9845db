import { currentScope, definePool, Scope, withRoot } from 'scoped-pool';
import { withTestRoot } from 'scoped-pool/testing';
import { aroundEach, describe, expect, it } from 'vitest';

const numbers = definePool('test-root', { create: () => ({ n: 1 }) });
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('withTestRoot', () => {
  it('runs a test in a root of its own and returns its value', async () => {
    const inside = await withTestRoot((scope) => ({ scope, same: currentScope() === scope, root: scope.root === scope }));
    expect(inside).toMatchObject({ same: true, root: true, scope: { name: 'test', state: 'closed' } });
  });

  it('gives each test pools of its own and the limits it asks for', async () => {
    await withRoot(async () => {
      await numbers.use(() => {});
      const stats = await withTestRoot(() => numbers.stats(), { limits: { 'test-root': 2 } });
      expect(stats).toMatchObject({ max: 2, created: 0 });
    });
  });

  it('throws the failure of a test as it is', async () => {
    const failure = new Error('the test');
    expect(await rejection(withTestRoot(() => Promise.reject(failure)))).toBe(failure);
  });

  it('fails a test with the lease it leaked, by pool and line', async () => {
    const error = await rejection(withTestRoot(async () => void (await numbers.acquire())));
    expect(error).toMatchObject({ code: 'ERR_LEASE_LEAKED', message: expect.stringMatching(/pool "test-root".*test-root\.test\.ts:\d+/) });
  });

  it('fails a test with all that it leaked', async () => {
    const error = await rejection(
      withTestRoot(async () => {
        await numbers.acquire();
        await numbers.acquire();
      }),
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({ errors: [{ code: 'ERR_LEASE_LEAKED' }, { code: 'ERR_LEASE_LEAKED' }] });
    expect(String(error).match(/test-root\.test\.ts:\d+/g)).toHaveLength(2);
  });

  it('names a task that does not end', async () => {
    const stuck = withTestRoot((scope) => void scope.spawn(() => new Promise(() => {}), { name: 'stuck' }), { graceMs: 0, cancelMs: 0 });
    expect(await rejection(stuck)).toMatchObject({ code: 'ERR_SCOPE_TIMEOUT', pending: ['stuck'] });
  });

  it('warns of leaks beside the failure of a test', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    const failure = new Error('the test');
    const leaking = withTestRoot(async () => {
      await numbers.acquire();
      throw failure;
    });
    expect(await rejection(leaking)).toBe(failure);
    expect(await warned).toMatchObject({ code: 'ERR_LEASE_LEAKED' });
  });

  it('refuses options it does not know', async () => {
    const options = { isolate: true } as object;
    expect(await rejection(withTestRoot(() => {}, options))).toMatchObject({ code: 'ERR_INVALID_OPTION' });
  });
});

describe('withTestRoot around each test', () => {
  const roots = new Set<Scope>();
  aroundEach((run) => withTestRoot(run, { name: 'around' }));

  it.each([1, 2])('is the root of test %i', async () => {
    const { root } = currentScope();
    expect(root.name).toBe('around');
    expect([...roots].map(({ state }) => state)).toEqual([...roots].map(() => 'closed'));
    expect(roots).not.toContain(root);
    roots.add(root);
    await numbers.use(({ n }) => expect(n).toBe(1));
  });

  it('is there in what a test starts', async () => {
    expect(new Scope({ name: 'inner' }).root).toBe(currentScope().root);
  });
});
