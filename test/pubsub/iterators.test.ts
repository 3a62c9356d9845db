import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Scope, withRoot, withScope } from 'scoped-pool';
import { createSubscriber, type Gap, type Message, type Subscriber } from 'scoped-pool/pubsub';
import { expectNoLeaks } from 'scoped-pool/testing';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { warnings } from '../support/warnings.ts';
import { listening, subscriberName } from './support.ts';

const redis = useRedis();
const publish = (message: string) => redis().observer.publish('a', message);

/** Iterates in a task of the scope. @returns the messages that it took, and whether it has ended. */
function loopIn(scope: Scope, subscriber: Subscriber) {
  const loop = { taken: [] as string[], ended: false };
  const iterator = scope.run(() => subscriber[Symbol.asyncIterator]());
  scope.spawn(async () => {
    for await (const event of iterator) if (event.type === 'message') loop.taken.push(event.message);
    loop.ended = true;
  });
  return loop;
}

describe('an iterator of another scope than the subscriber', () => {
  it.each<[string, (scope: Scope) => unknown]>([
    ['is cancelled', (scope) => scope.cancel()],
    ['closes', (scope) => scope.close({ graceMs: 0 })],
  ])('ends when that scope %s, and no other does', async (_, end) => {
    const { scope: root, subscriber } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    const left = new Scope({ parent: root });
    const stays = new Scope({ parent: root });
    const gone = loopIn(left, subscriber);
    const other = loopIn(stays, subscriber);
    await publish('1');
    await until(() => gone.taken.length === 1 && other.taken.length === 1);
    end(left);
    await until(() => gone.ended);
    await left.close();
    await publish('2');
    await until(() => other.taken.length === 2);
    expect([gone.taken, other.ended]).toEqual([['1'], false]);
    expect(subscriber.status).toBe('up');
    await root.close();
    expect(other.ended).toBe(true);
  });

  it('forgets what it has then, and gives nothing more', async () => {
    const { scope: root, subscriber, messages } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    const request = new Scope({ parent: root });
    const iterator = request.run(() => subscriber[Symbol.asyncIterator]());
    await publish('1');
    await until(() => messages.length === 1);
    await request.close();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('ends at once in a scope that is over', async () => {
    const { scope: root, subscriber } = listening({ url: redis().url, channels: ['a'] });
    const request = new Scope({ parent: root });
    const open = request.bind(() => subscriber[Symbol.asyncIterator]());
    await request.close();
    expect(await open().next()).toEqual({ done: true, value: undefined });
  });

  it('takes back what it has asked of that scope, when it ends before it', async () => {
    await withRoot(async () => {
      const subscriber = createSubscriber(subscriberName(), { url: redis().url, channels: ['a'], maxBuffered: 1, overflow: 'fail' });
      await subscriber.synced();
      await withScope(async ({ signal }) => {
        const [first, second] = [subscriber[Symbol.asyncIterator](), subscriber[Symbol.asyncIterator]()];
        expect(getEventListeners(signal, 'abort')).toHaveLength(2);
        await first.return?.();
        expect(getEventListeners(signal, 'abort')).toHaveLength(1);
        await publish('1');
        await publish('2');
        await until(() => getEventListeners(signal, 'abort').length === 0);
        await second.next();
        await expect(second.next()).rejects.toMatchObject({ code: 'ERR_SUBSCRIBER_OVERFLOW' });
        subscriber[Symbol.asyncIterator]();
        await subscriber.close();
        expect(getEventListeners(signal, 'abort')).toEqual([]);
      });
    });
    await expectNoLeaks();
  });

  it('leaves nothing behind, of 1,000 scopes that close, are cancelled, or leave their loops', async () => {
    const { scope: root, subscriber, messages } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    const kept: WeakRef<object>[] = [];
    const rounds = Array.from({ length: 1_000 }, async (_, number) => {
      const request = new Scope({ parent: root, name: `request ${number}` });
      await request.run(async () => {
        const iterator = subscriber[Symbol.asyncIterator]();
        kept.push(new WeakRef(iterator));
        if (number % 4 === 0) return; // never iterates
        if (number % 4 === 1) for await (const _event of iterator) break;
        else
          void (async () => {
            for await (const _event of iterator);
          })();
      });
      if (number % 4 === 3) request.cancel();
      await request.close({ graceMs: 0 });
    });
    for (let number = 0; number < 3; number++) await publish(`${number}`);
    await Promise.all(rounds);
    await until(() => messages.length === 3);
    await until(
      async () => {
        await turn();
        globalThis.gc?.();
        return kept.every((ref) => ref.deref() === undefined);
      },
      { timeoutMs: 15_000 },
    );
    expect(kept).toHaveLength(1_000);
    expect(root.tree().children.filter(({ name }) => name.startsWith('request'))).toEqual([]);
    expect(subscriber.status).toBe('up');
  });
});

describe('listeners of other scopes', () => {
  it('may be as many as there are scopes', async () => {
    const seen = warnings();
    await withRoot(async () => {
      const subscriber = createSubscriber(subscriberName(), { url: redis().url, channels: ['a'] });
      for (let count = 0; count < 20; count++) await withScope((scope) => void scope.on(subscriber, 'gap', () => {}));
      await withScope((scope) => {
        for (let count = 0; count < 20; count++) scope.on(subscriber, 'gap', () => {});
        expect(subscriber.listenerCount('gap')).toBe(20);
      });
      expect(subscriber.listenerCount('gap')).toBe(0);
    });
    await turn();
    expect(seen).toEqual([]);
  });
});

describe('iterators, when the scope of the subscriber closes,', () => {
  it('end with what has come, and so do not hold it up; listeners go on until the rest has ended', async () => {
    const { scope, subscriber, messages } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    let goOn = () => {};
    const mayEnd = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const taken: string[] = [];
    const iterator = subscriber[Symbol.asyncIterator]();
    const loop = scope.spawn(async () => {
      await until(() => scope.state === 'draining');
      for await (const event of iterator as AsyncIterable<Message | Gap>) if (event.type === 'message') taken.push(event.message);
    });
    scope.spawn(() => mayEnd);
    await publish('1');
    await until(() => messages.length === 1);
    const closed = scope.close({ graceMs: 60_000 });
    await loop;
    expect([taken, scope.state, subscriber.status]).toEqual([['1'], 'draining', 'up']);
    await publish('2');
    await until(() => messages.length === 2);
    for await (const event of scope.run(() => subscriber[Symbol.asyncIterator]())) expect(event).toBe('nothing');
    goOn();
    await closed;
    expect([taken, subscriber.status]).toEqual([['1'], 'closed']);
    await expectNoLeaks();
  });

  it('are over at once, also the first', async () => {
    const { scope, subscriber } = listening({ url: redis().url, channels: ['a'] });
    let goOn = () => {};
    const mayEnd = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    scope.spawn(() => mayEnd);
    const closed = scope.close({ graceMs: 60_000 });
    await until(() => scope.state === 'draining');
    expect(await scope.run(() => subscriber[Symbol.asyncIterator]()).next()).toEqual({ done: true, value: undefined });
    goOn();
    await closed;
  });

  it('end at the end of withScope', async () => {
    await withRoot(async () => {
      const subscriber = createSubscriber(subscriberName(), { url: redis().url, channels: ['a'] });
      subscriber[Symbol.asyncIterator]();
      await withScope(async (scope) => {
        const inner = createSubscriber(subscriberName(), { url: redis().url, channels: ['a'] });
        scope.spawn(async () => {
          for await (const event of inner) expect(event).toBe('nothing');
        });
      });
      expect(subscriber.status).not.toBe('closed');
    });
  });
});
