import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { currentScope, Scope, tryCurrentScope, withScope } from '../../src/scope/index.ts';
import { FakeBelonging, forever, gate, outline, rootWithReports, settled } from './support.ts';

describe('Scope rule 10: bind and on carry the scope into callbacks, tree shows what is open', () => {
  it('bind keeps this, arguments and result', async () => {
    const { root } = rootWithReports();
    const bound = root.bind(function (this: { factor: number }, value: number) {
      return [currentScope(), this.factor * value];
    });
    expect(bound.call({ factor: 2 }, 21)).toEqual([root, 42]);
    expect(tryCurrentScope()).toBeUndefined();
    await root.close();
  });

  it('on listens to an EventEmitter in the scope until it closes', async () => {
    const { root } = rootWithReports();
    const emitter = new EventEmitter();
    const heard: unknown[] = [];
    root.on(emitter, 'data', (value: string) => heard.push([currentScope(), value]));
    emitter.emit('data', 'one');
    await root.close();
    emitter.emit('data', 'two');
    expect(heard).toEqual([[root, 'one']]);
    expect(emitter.listenerCount('data')).toBe(0);
  });

  it('on listens to an EventTarget in the scope until it closes', async () => {
    const { root } = rootWithReports();
    const target = new EventTarget();
    const heard: unknown[] = [];
    root.on(target, 'change', (event: Event) => heard.push([currentScope(), event.type]));
    target.dispatchEvent(new Event('change'));
    await root.close();
    target.dispatchEvent(new Event('change'));
    expect(heard).toEqual([[root, 'change']]);
  });

  it('on gives a function that takes the listener back and leaves nothing in the scope', async () => {
    const { root } = rootWithReports();
    const emitter = new EventEmitter();
    root.on(emitter, 'data', () => expect.unreachable())();
    emitter.emit('data');
    expect(emitter.listenerCount('data')).toBe(0);
    await root.close();
  });

  it('a bound callback that opens a scope makes it a child, which the close waits for', async () => {
    const { root } = rootWithReports();
    const answer = gate();
    const handle = root.bind(() => withScope(() => answer.passed));
    const handled = handle();
    const closing = root.close();
    await settled();
    expect(root.state).toBe('draining');
    answer.open();
    await Promise.all([handled, closing]);
  });

  it('tree shows tasks, children, resources with what hangs below them, and leases', async () => {
    const { root } = rootWithReports();
    const child = new Scope({ parent: root, name: 'child' });
    child.spawn(forever, { name: 'fetch' });
    root.spawn(forever, { name: 'upkeep', background: true });
    root.spawn(forever, { name: 'sync' }).cancel();
    root.own(new FakeBelonging());
    root.onClose(() => {});
    await root.open(
      (inner) => void inner.spawn(forever, { name: 'request' }),
      () => {},
      { name: 'http', timeoutMs: 1 },
    );
    expect(outline(root)).toEqual([
      'root root open',
      ['background upkeep running'],
      ['task sync cancelled'],
      ['scope child open', ['task fetch running']],
      ['resource http open', ['task request running']],
      ['lease fake held'],
    ]);
    const age = child.tree().ageMs;
    expect(root.tree().ageMs).toBeGreaterThanOrEqual(age);
    await root.close({ graceMs: 0, cancelMs: 0 }).catch(() => {});
    expect(outline(root)).toEqual(['root root closed']);
  });
});
