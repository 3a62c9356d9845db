import { describe, expect, it, vi } from 'vitest';
import { Scope, withRoot, withScope } from '../../src/scope/index.ts';
import { eventsOf, published } from '../support/events.ts';

const WHOLE = ['scope.start', 'scope.end', 'scope.asyncStart', 'scope.asyncEnd'];
const FAILED = ['scope.start', 'scope.end', 'scope.error', 'scope.asyncStart', 'scope.asyncEnd'];

describe('CHANNELS.scope', () => {
  it('tells of the begin and the end of each scope, children before their parents', async () => {
    const all = published('scope');
    await withRoot(() => withScope(() => {}, { name: 'job' }), { name: 'worker' });
    expect(all.map(({ event, said }) => [event, said.scope, said.parent])).toEqual([
      ['scope.start', 'worker', undefined],
      ['scope.end', 'worker', undefined],
      ['scope.start', 'job', 'worker'],
      ['scope.end', 'job', 'worker'],
      ['scope.asyncStart', 'job', 'worker'],
      ['scope.asyncEnd', 'job', 'worker'],
      ['scope.asyncStart', 'worker', undefined],
      ['scope.asyncEnd', 'worker', undefined],
    ]);
    expect(new Set(all.map(({ message }) => message)).size).toBe(2);
  });

  it('says with what a scope failed', async () => {
    const all = published('scope');
    const error = new Error('failed');
    await expect(withRoot(() => Promise.reject(error))).rejects.toBe(error);
    expect(eventsOf(all)).toEqual(FAILED);
    expect(all.map(({ said }) => said.error)).toEqual([undefined, undefined, error, error, error]);
  });

  it('says with what the closing of a scope failed', async () => {
    const all = published('scope');
    const scope = new Scope({ parent: null });
    scope.onClose(() => Promise.reject(new Error('not closed')));
    const error = await scope.close().catch((reason: unknown) => reason);
    expect(eventsOf(all)).toEqual(FAILED);
    expect(all[4]?.said.error).toBe(error);
  });

  it('tells of the end of a scope whose signal was aborted before it began', async () => {
    const all = published('scope');
    const reason = new Error('gone');
    const scope = new Scope({ parent: null, signal: AbortSignal.abort(reason) });
    await expect(scope.close()).rejects.toBe(reason);
    expect(eventsOf(all)).toEqual(FAILED);
    expect(all[4]?.said.error).toBe(reason);
  });

  it('tells nothing of a scope that could not begin', async () => {
    const all = published('scope');
    await withRoot(async (root) => {
      const child = new Scope();
      await child.close();
      expect(() => new Scope({ parent: child })).toThrow(expect.objectContaining({ code: 'ERR_SCOPE_CLOSED' }));
      expect(root.tree().children).toEqual([]);
    });
    expect(eventsOf(all)).toEqual([...WHOLE.slice(0, 2), ...WHOLE, ...WHOLE.slice(2)]);
  });

  it('ends once, however often a scope is closed', async () => {
    const all = published('scope');
    const scope = new Scope({ parent: null });
    await Promise.all([scope.close(), scope.close()]);
    await scope.close();
    expect(eventsOf(all)).toEqual(WHOLE);
  });
});

describe('CHANNELS.error', () => {
  it('tells what is handed to onSuppressed, of the scope whose handler it is', async () => {
    const all = published('error');
    const error = new Error('first');
    const told: unknown[] = [];
    await withRoot(() => withScope((job) => job.report(error, 'task'), { name: 'job' }), {
      name: 'worker',
      onSuppressed: (...args) => void told.push(args),
    });
    expect(all.map(({ said }) => said)).toEqual([{ scope: 'worker', from: 'job/task', error }]);
    expect(told).toEqual([[error, 'job/task']]);
  });

  it('tells what becomes a process warning', async () => {
    const all = published('error');
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const error = new Error('first');
    await withRoot((root) => root.report(error, 'task'), { name: 'worker' });
    expect(all.map(({ said }) => said)).toEqual([{ scope: 'worker', from: 'task', error }]);
    expect(warned).toHaveBeenCalledWith(error);
    warned.mockRestore();
  });
});
