import { describe, expect, it } from 'vitest';
import { Scope, withScope } from '../../src/scope/index.ts';
import { code, FakeBelonging, forever, rootWithReports, settled } from './support.ts';

describe('Scope rule 8: what belongs to a scope does not outlive it', () => {
  it('ends and reports what is still there when its scope has ended', async () => {
    const { root, reports } = rootWithReports();
    const leak = new Error('leaked');
    const lease = new FakeBelonging({ leak });
    await withScope((scope) => scope.own(lease), { parent: root, name: 'job' });
    expect(lease.heard).toEqual(['end']);
    expect(reports).toEqual([{ error: leak, from: 'job/leases' }]);
    expect(root.state).toBe('open');
    await root.close();
  });

  it('ends it after everything that ran in the scope, before anything that was opened is stopped', async () => {
    const { root } = rootWithReports();
    const lease = new FakeBelonging();
    const heard: string[][] = [];
    await withScope(
      (scope) => {
        scope.own(lease);
        scope.onClose(() => void heard.push([...lease.heard]));
        scope.spawn(async () => {
          await settled();
          heard.push([...lease.heard]);
        });
      },
      { parent: root },
    );
    expect(heard).toEqual([[], ['end']]);
    await root.close();
  });

  it('says nothing of what left by itself', async () => {
    const { root, reports } = rootWithReports();
    const lease = new FakeBelonging({ leak: new Error('leaked') });
    root.own(lease);
    root.disown(lease);
    root.disown(lease);
    await root.close();
    expect([lease.heard, reports]).toEqual([[], []]);
  });

  it('waits for what is awaited, as for a reply, and never counts it as leaked', async () => {
    const { root } = rootWithReports();
    const reply = new FakeBelonging({ awaited: true });
    root.own(reply);
    const closing = root.close();
    await settled();
    expect(root.state).toBe('draining');
    root.disown(reply);
    await closing;
    expect(reply.heard).toEqual([]);
  });

  it('gives up a reply that does not come, and names it', async () => {
    const { root } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    const reply = new FakeBelonging({ awaited: true });
    root.own(reply);
    await expect(root.close()).rejects.toMatchObject({ pending: ['lease of fake'] });
    expect(reply.heard).toEqual(['cancel', 'end']);
  });

  it('ends what a closer has acquired and kept', async () => {
    const { root, reports } = rootWithReports();
    const lease = new FakeBelonging({ leak: new Error('leaked') });
    root.onClose(() => root.own(lease));
    await root.close();
    expect(lease.heard).toEqual(['end']);
    expect(reports).toHaveLength(1);
  });

  it('counts a reply that leaves twice once', async () => {
    const { root } = rootWithReports();
    const [first, second] = [new FakeBelonging({ awaited: true }), new FakeBelonging({ awaited: true })];
    root.own(first);
    root.own(second);
    root.disown(first);
    root.disown(first);
    const closing = root.close();
    await settled();
    expect(root.state).toBe('draining');
    root.disown(second);
    await closing;
  });

  it('ends what a closer has kept before the pools of the root close', async () => {
    const { root } = rootWithReports();
    const lease = new FakeBelonging();
    root.onClose(() => root.own(lease));
    root.addSingle({}, { close: () => expect(lease.heard).toEqual(['end']) });
    await root.close();
  });

  it('tells all that waits of the cancel, also when one that leaves takes the next with it', async () => {
    const { root } = rootWithReports();
    const [first, second, third] = [new FakeBelonging(), new FakeBelonging(), new FakeBelonging()];
    for (const waiter of [first, second, third]) root.own(waiter);
    first.onCancelled = () => {
      root.disown(first);
      root.disown(second);
    };
    root.cancel();
    expect([first.heard, second.heard, third.heard]).toEqual([['cancel'], [], ['cancel']]);
    await root.close();
  });

  it('takes nothing in when it is cancelled or closed, but in a closer', async () => {
    const { root } = rootWithReports();
    root.onClose(() => {
      root.own(lease);
      root.disown(lease);
    });
    const lease = new FakeBelonging();
    root.cancel();
    expect(() => root.own(lease)).toThrow(code('ERR_SCOPE_CANCELLED'));
    await root.close();
    expect(() => root.own(lease)).toThrow(code('ERR_SCOPE_CLOSED'));
  });

  it('lets a task of another scope take nothing in while it closes', async () => {
    const { root } = rootWithReports({ graceMs: 1, cancelMs: 1 });
    const other = new Scope({ parent: null });
    root.spawn(forever);
    const closing = root.close();
    await other.spawn(() => expect(() => root.own(new FakeBelonging())).toThrow(code('ERR_SCOPE_CLOSED')));
    await expect(closing).rejects.toThrow(code('ERR_SCOPE_TIMEOUT'));
    await other.close();
  });
});
