import { createHook } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentScope, SubscriberClosedError, tryCurrentScope, withRoot } from 'scoped-pool';
import { createSubscriber, type Gap, type Message, type SubscriberOptions } from 'scoped-pool/pubsub';
import { expectNoLeaks } from 'scoped-pool/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { warnings } from '../support/warnings.ts';
import { listening, NumberPublisher, proxyTo, serverDeafTo, subscriberName } from './support.ts';

const redis = useRedis();
const publish = (channel: string, message: string | Buffer) => redis().observer.publish(channel, message);
const texts = (messages: readonly Message[]) => messages.map(({ message }) => message);

describe('createSubscriber()', () => {
  it('begins in the same tick, and lives as long as its scope', async () => {
    const name = subscriberName();
    const told: unknown[] = [];
    await withRoot(async () => {
      const subscriber = createSubscriber(name, { url: redis().url, service: 'life', channels: ['a'] });
      expect([subscriber.status, subscriber.epoch]).toEqual(['connecting', 0]);
      subscriber.on('up', (up) => void told.push(up));
      await subscriber.synced();
      expect([subscriber.status, subscriber.epoch]).toEqual(['up', 1]);
      expect((await redis().clients(`sp:life:${name}`)).map(({ sub }) => sub)).toEqual(['2']);
    });
    expect(told).toEqual([{ epoch: 1, gap: undefined }]);
    expect(await redis().clients('sp:life')).toEqual([]);
    await expectNoLeaks();
  });

  it('needs a scope', () => {
    expect(() => createSubscriber('homeless', {})).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });

  it.each<[string, object, RegExp]>([
    ['pingMs', { pingMs: 0 }, /pingMs must be milliseconds from 1/],
    ['pongMs', { pingMs: 100, pongMs: 200 }, /pongMs must be at most pingMs, 100; got 200/],
    ['a channel', { channels: ['a', ''] }, /channels must be a list of texts that are not empty/],
    ['channels', { channels: 'news' }, /channels must be a list of texts that are not empty; got "news"/],
    ['patterns', { patterns: [1] }, /patterns must be a list/],
    ['overflow', { overflow: 'drop' }, /overflow must be one of "drop-oldest", "drop-newest", "fail"/],
    ['maxBuffered', { maxBuffered: 0 }, /maxBuffered must be an integer from 1/],
    ['deliveryProbe', { deliveryProbe: { publish: 'x' } }, /deliveryProbe must be an object \{ publish, everyMs \}/],
    ['connect', { connect: {} }, /connect must be a function/],
    ['a misspelt option', { chanels: [] }, /did you mean channels\?/],
    ['an option of pools', { commandTimeoutMs: 1 }, /see connectTimeoutMs and pongMs/],
    ['an option that it owns', { autoResubscribe: true }, /autoResubscribe must be left out/],
    ['keyPrefix', { keyPrefix: 'a:' }, /it holds for keys, not for channels/],
  ])('says what is wrong with %s', async (_, options, message) => {
    await withRoot(async () => {
      expect(() => createSubscriber('bad', options as SubscriberOptions)).toThrow(message);
    });
  });

  it('says what is wrong with names and signals later, too', async () => {
    const { subscriber } = listening({ url: redis().url });
    await expect(subscriber.subscribe()).rejects.toThrow(/subscribe\(\): its name must be .*; got undefined$/);
    await expect(subscriber.subscribe(['a', 'b'] as unknown as string)).rejects.toThrow(/its name must be .*; got an array$/);
    await expect(subscriber.psubscribe('a', '')).rejects.toThrow(/psubscribe\(\): its name must be .*; got ""$/);
    await expect(subscriber.unsubscribe(1 as unknown as string)).rejects.toThrow(/unsubscribe\(\): its name must be .*; got 1$/);
    await expect(subscriber.synced({ signal: {} as AbortSignal })).rejects.toThrow(/signal must be an AbortSignal/);
    expect(() => subscriber.on('message', 1 as unknown as () => void)).toThrow(/listener/);
  });
});

describe('a subscriber', () => {
  it('gives what is published on channels, patterns and sharded channels', async () => {
    const { subscriber, messages } = listening({ url: redis().url, channels: ['news'], patterns: ['sport.*'], shardChannels: ['shard'] });
    await subscriber.synced();
    await publish('news', '1');
    await publish('sport.chess', '2');
    await redis().observer.spublish('shard', '3');
    await until(() => messages.length === 3);
    expect(messages).toEqual([
      { type: 'message', channel: 'news', sharded: false, message: '1', epoch: 1 },
      { type: 'message', channel: 'sport.chess', pattern: 'sport.*', sharded: false, message: '2', epoch: 1 },
      { type: 'message', channel: 'shard', sharded: true, message: '3', epoch: 1 },
    ]);
  });

  it('gives bytes as they are', async () => {
    await withRoot(async () => {
      const subscriber = createSubscriber(subscriberName(), { url: redis().url, binary: true, channels: ['bytes'], patterns: ['b*s'] });
      const messages: Message<Buffer>[] = [];
      subscriber.on('message', (message) => void messages.push(message));
      await subscriber.synced();
      subscriber.refresh();
      await until(() => subscriber.epoch === 2);
      const bytes = Buffer.from([0, 255, 128, 13, 10]);
      await publish('bytes', bytes);
      await until(() => messages.length === 2);
      expect(messages.map(({ channel, pattern, message }) => [channel, pattern, message])).toEqual([
        ['bytes', undefined, bytes],
        ['bytes', 'b*s', bytes],
      ]);
    });
  });

  it('subscribes and unsubscribes while it runs, also while it has no connection', async () => {
    const proxy = await proxyTo(redis());
    const { subscriber, messages } = listening({ url: proxy.url });
    const early = subscriber.subscribe('early');
    await early;
    await publish('early', '1');
    await until(() => messages.length === 1);
    await proxy.refuse();
    await until(() => subscriber.status === 'down');
    const late = subscriber.subscribe('late');
    await subscriber.unsubscribe('early');
    await proxy.accept();
    await late;
    await publish('late', '2');
    await publish('early', '3');
    await until(() => messages.length === 2);
    await subscriber.unsubscribe('late');
    await publish('late', '4');
    await subscriber.subscribe('end');
    await publish('end', '5');
    await until(() => texts(messages).includes('5'));
    expect(texts(messages)).toEqual(['1', '2', '5']);
    expect(await redis().observer.pubsub('NUMSUB', 'early', 'late', 'end')).toEqual(['early', 0, 'late', 0, 'end', 1]);
  });

  it('takes no answer to what was asked before for that to what is asked now', async () => {
    const proxy = await proxyTo(redis());
    const { subscriber } = listening({ url: proxy.url });
    await subscriber.synced();
    proxy.delayMs = 100;
    const [first, second] = [subscriberName(), subscriberName()];
    const before = subscriber.subscribe(first);
    await sleep(150);
    await subscriber.subscribe(second);
    expect(await redis().observer.pubsub('NUMSUB', second)).toEqual([second, 1]);
    await before;
  });

  it('asks once for all that is subscribed to in one turn', async () => {
    const { subscriber } = listening({ url: redis().url });
    await subscriber.synced();
    const asked = async () => Number(/cmdstat_subscribe:calls=(\d+)/.exec(await redis().observer.info('commandstats'))?.[1]);
    const before = await asked();
    const names = Array.from({ length: 3_000 }, () => subscriberName());
    await Promise.all(names.map((name) => subscriber.subscribe(name)));
    expect((await asked()) - before).toBe(3);
    const counts = await redis().observer.pubsub('NUMSUB', ...names);
    expect(counts.filter((count) => count === 1)).toHaveLength(3_000);
  });

  it('gives nothing more of what is not wanted any more, though it has come', async () => {
    const { subscriber, messages } = listening({ url: redis().url, channels: ['gone', 'there'], patterns: ['gone*'] });
    await subscriber.synced();
    subscriber.once('message', () => void Promise.all([subscriber.unsubscribe('gone'), subscriber.punsubscribe('gone*')]));
    await Promise.all(['gone', 'gone', 'gone', 'there'].map((channel) => publish(channel, channel)));
    await until(() => messages.some(({ channel }) => channel === 'there'));
    expect(texts(messages)).toEqual(['gone', 'there']);
  });

  it.each([
    ['sunsubscribe', 'shard', 'plain'],
    ['unsubscribe', 'plain', 'shard'],
  ] as const)('goes on to hear the others after the last %s', async (undo, gone, left) => {
    const { subscriber, messages } = listening({ url: redis().url, channels: ['plain'], shardChannels: ['shard'] });
    await subscriber.synced();
    await subscriber[undo](gone);
    await publish('plain', 'of plain');
    await redis().observer.spublish('shard', 'of shard');
    await until(() => messages.length > 0);
    expect(texts(messages)).toEqual([`of ${left}`]);
  });

  it('loses nothing of a channel that is subscribed to while connections change', async () => {
    const { subscriber, messages, gaps } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    for (let round = 1; round <= 20; round++) {
      subscriber.refresh();
      const name = `during-${round}`;
      await sleep(round % 4);
      await subscriber.subscribe(name);
      await publish(name, `${round}`);
    }
    await until(() => messages.length === 20);
    expect(gaps).toEqual([]);
  });

  it('asks only in silence, where it is told so', async () => {
    const { subscriber, messages, of } = listening({ url: redis().url, channels: ['busy'], heartbeat: 'idle', pingMs: 500, pongMs: 500 });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), 'busy', 100);
    await sleep(1_200);
    expect(of('ping')).toEqual([]);
    const sent = await publisher.stop();
    await until(() => of('ping').length > 0);
    expect(messages).toHaveLength(sent);
  });

  it('hears no marks of other subscribers by its patterns', async () => {
    const { subscriber, messages } = listening({ url: redis().url, patterns: ['*'] });
    const other = listening({ url: redis().url, channels: ['other'] });
    await Promise.all([subscriber.synced(), other.subscriber.synced()]);
    other.subscriber.refresh();
    await until(() => other.subscriber.epoch === 2);
    await publish('other', 'only this');
    await until(() => messages.length > 0);
    expect(texts(messages)).toEqual(['only this']);
  });

  it('asks where to connect each time, and why', async () => {
    const proxy = await proxyTo(redis());
    const asked: unknown[] = [];
    const connect = (context: { readonly failures: number; readonly error: unknown }) => {
      asked.push({ ...context });
      if (asked.length === 2) throw new Error('no node');
      return asked.length === 1 ? { url: proxy.url } : { host: redis().server.host, port: redis().server.port };
    };
    const { subscriber, of } = listening({ url: 'redis://127.0.0.1:1', channels: ['a'], connect });
    await subscriber.synced();
    expect(proxy.accepted).toBe(1);
    proxy.finish();
    await until(() => subscriber.epoch === 2);
    expect(asked).toMatchObject([
      { failures: 0, error: undefined },
      { failures: 0, error: expect.any(Error) },
      { failures: 1, error: { message: 'no node' } },
    ]);
    expect(of('retry')).toMatchObject([{ failures: 1, error: { message: 'no node' } }]);
  });

  it('follows connections that all die young more and more slowly', async () => {
    const { subscriber, of } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    const timer = setInterval(() => void redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), 5);
    await sleep(700);
    clearInterval(timer);
    // Without a pause there would be one for every few milliseconds.
    expect(of('down').length).toBeLessThan(12);
    await subscriber.synced();
  });
});

describe('listeners', () => {
  it('run in the scope that made the subscriber, whoever causes what they hear', async () => {
    const { scope, subscriber } = listening({ url: redis().url, pingMs: 20, pongMs: 20, channels: ['first'] });
    const scopes: Record<string, Set<string | undefined>> = {};
    for (const event of ['message', 'up', 'down', 'ping', 'gap'] as const) {
      const names = new Set<string | undefined>();
      scopes[event] = names;
      subscriber.on(event, () => void names.add(tryCurrentScope()?.name));
    }
    await withRoot(
      async () => {
        await subscriber.subscribe('request');
        await publish('request', '1');
        subscriber.refresh();
        await until(() => subscriber.epoch === 2);
        await publish('request', '2');
        await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await until(() => subscriber.epoch === 3);
      },
      { name: 'request' },
    );
    await until(() => scopes.ping?.size === 1);
    expect(scope.name).toBe('root');
    expect(scopes).toEqual({
      message: new Set(['root']),
      up: new Set(['root']),
      down: new Set(['root']),
      ping: new Set(['root']),
      gap: new Set(['root']),
    });
  });

  it('do not disturb each other, and what they throw is told', async () => {
    const { subscriber, messages, reports } = listening({ url: redis().url, channels: ['a'] });
    const told: unknown[] = [];
    subscriber.prependListener('message', () => {
      throw new Error('thrown');
    });
    subscriber.prependListener('message', async () => {
      throw new Error('rejected');
    });
    await subscriber.synced();
    await publish('a', '1');
    await until(() => messages.length === 1 && reports.length === 2);
    expect(reports.map(String).sort()).toEqual(['Error: rejected', 'Error: thrown']);
    subscriber.on('handler-error', (error, event) => void told.push([String(error), event]));
    await publish('a', '2');
    await until(() => told.length === 2);
    expect(told).toContainEqual(['Error: thrown', 'message']);
    expect([messages.length, reports.length]).toEqual([2, 2]);
  });

  it('can be given by a scope, and end with it', async () => {
    const { subscriber, messages } = listening({ url: redis().url, channels: ['a'] });
    const heard: string[] = [];
    await subscriber.synced();
    await withRoot(
      async () => {
        currentScope().on(subscriber, 'message', ({ message }: Message) => void heard.push(`${message} in ${currentScope().name}`));
        await publish('a', '1');
        await until(() => heard.length === 1);
      },
      { name: 'listener' },
    );
    await publish('a', '2');
    await until(() => messages.length === 2);
    expect(heard).toEqual(['1 in listener']);
  });
});

describe('iterators', () => {
  it('each give all messages and gaps since they were made, and end with the subscriber', async () => {
    const { subscriber } = listening({ url: redis().url, channels: ['a'] });
    await subscriber.synced();
    const [all, some] = [subscriber[Symbol.asyncIterator](), subscriber[Symbol.asyncIterator]()];
    await publish('a', '1');
    await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => subscriber.epoch === 2);
    await publish('a', '2');
    expect([await some.next(), await some.next(), await some.next()].map(({ value }) => (value as Message | Gap).type)).toEqual([
      'message',
      'gap',
      'message',
    ]);
    await some.return?.();
    await subscriber.close();
    const rest: unknown[] = [];
    for await (const item of all) rest.push(item);
    expect(rest).toMatchObject([{ message: '1' }, { type: 'gap', reason: 'closed' }, { message: '2' }]);
    for await (const item of subscriber) expect(item).toBe('nothing');
  });

  it.each(['drop-oldest', 'drop-newest'] as const)(
    'say exactly how many they dropped, and when these were published (%s)',
    async (overflow) => {
      const { subscriber, messages } = listening({ url: redis().url, channels: ['a'], maxBuffered: 10, overflow });
      await subscriber.synced();
      const iterator = subscriber[Symbol.asyncIterator]();
      const begun = Date.now();
      for (let number = 0; number < 1_000; number++) void publish('a', `${number}`);
      const ended = Date.now();
      await until(() => messages.length === 1_000);
      await subscriber.close();
      const items: (Message | Gap)[] = [];
      for await (const item of iterator) items.push(item);
      const gaps = items.filter((item) => item.type === 'gap');
      const numbers = items.flatMap((item) => (item.type === 'message' ? [Number(item.message)] : []));
      expect(numbers).toEqual(Array.from({ length: 10 }, (_, index) => index + (overflow === 'drop-oldest' ? 990 : 0)));
      expect(gaps).toMatchObject([{ reason: 'overflow', dropped: 990 }]);
      expect(items.indexOf(gaps[0] as Gap)).toBe(overflow === 'drop-oldest' ? 0 : 10);
      expect(gaps[0]?.after).toBeLessThan(begun);
      expect(gaps[0]?.before).toBeGreaterThanOrEqual(overflow === 'drop-oldest' ? begun : ended);
    },
  );

  it('throw where nothing may be dropped', async () => {
    const { subscriber, messages } = listening({ url: redis().url, channels: ['a'], maxBuffered: 2, overflow: 'fail' });
    await subscriber.synced();
    const iterator = subscriber[Symbol.asyncIterator]();
    for (const message of ['1', '2', '3']) await publish('a', message);
    await until(() => messages.length === 3);
    const taken: unknown[] = [];
    await expect(
      (async () => {
        for await (const item of iterator) taken.push(item);
      })(),
    ).rejects.toMatchObject({ code: 'ERR_SUBSCRIBER_OVERFLOW' });
    expect(taken).toHaveLength(2);
    expect(subscriber.status).toBe('up');
  });

  it('end for tasks of a scope that is cancelled', async () => {
    const { scope, subscriber } = listening({ url: redis().url, channels: ['a'] });
    const task = scope.spawn(
      async () => {
        for await (const item of subscriber) expect(item).toBe('nothing');
        return 'ended';
      },
      { background: true },
    );
    await subscriber.synced();
    await scope.close();
    expect(await task).toBe('ended');
    expect(subscriber.status).toBe('closed');
  });
});

it('refuses a listener that is no function', () => {
  const { subscriber } = listening({ url: redis().url, channels: ['a'] });
  expect(() => subscriber.on('message', 'log' as never)).toThrow(/must be of type function. Received type string \('log'\)/);
});

describe('close()', () => {
  it('leaves no connection, whatever is under way', async () => {
    const proxy = await proxyTo(redis());
    for (let round = 0; round < 25; round++) {
      const { scope, subscriber } = listening({ url: proxy.url, service: 'closing', channels: ['a'] });
      if (round >= 10) await subscriber.synced();
      if (round >= 15) subscriber.refresh();
      await sleep(round % 5);
      await Promise.all([subscriber.close(), scope.close()]);
      expect(subscriber.status).toBe('closed');
    }
    await until(async () => (await redis().clients('sp:closing')).length === 0 && proxy.open === 0);
    await expectNoLeaks();
  });

  it('leaves no timer, of the heartbeat and the probe neither', async () => {
    const open = new Map<number, string>();
    const hook = createHook({
      init(id, type) {
        const { stack = '' } = new Error();
        if (type === 'Timeout' && stack.includes('/src/clock.ts')) open.set(id, stack);
      },
      destroy: (id) => void open.delete(id),
    }).enable();
    onTestFinished(() => void hook.disable());
    const deliveryProbe = { publish };
    const { scope, subscriber } = listening({ url: redis().url, channels: ['a'], deliveryProbe });
    await subscriber.synced();
    // Of 30 s each.
    expect(open.size).toBeGreaterThanOrEqual(2);
    await scope.close();
    await until(() => open.size === 0);
  });

  it('does not wait for a server that does not answer', async () => {
    const { url, open } = await serverDeafTo(redis(), /./);
    const { subscriber } = listening({ url, channels: ['a'], connectTimeoutMs: 60_000 });
    await until(() => open.size === 1);
    const waiting = [subscriber.synced(), subscriber.subscribe('b')].map((promise) =>
      expect(promise).rejects.toThrow(SubscriberClosedError),
    );
    const begun = performance.now();
    await subscriber.close();
    await Promise.all(waiting);
    expect(performance.now() - begun).toBeLessThan(2_000);
    await until(() => open.size === 0);
    await expect(subscriber.subscribe('c')).rejects.toThrow(SubscriberClosedError);
    await subscriber.unsubscribe('a');
  });

  it('lets go of its scope', async () => {
    const seen = warnings();
    const { signal } = new AbortController();
    await withRoot(async () => {
      for (let round = 0; round < 15; round++) {
        await using subscriber = createSubscriber(subscriberName(), { url: redis().url, channels: ['a'] });
        for (let turn = 0; turn < 3; turn++) await subscriber.synced({ signal });
        expect(getEventListeners(signal, 'abort')).toEqual([]);
      }
      expect(getEventListeners(currentScope().signal, 'abort')).toEqual([]);
    });
    // Of more listeners than an emitter should have.
    expect(seen).toEqual([]);
  });
});

describe('synced()', () => {
  it('waits no longer than its signal', async () => {
    const { subscriber } = listening({ url: 'redis://127.0.0.1:1', channels: ['a'] });
    await expect(subscriber.synced({ signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(subscriber.status).toBe('connecting');
  });

  it('does not take the end of a connection for the acknowledgement', async () => {
    const proxy = await proxyTo(redis());
    const { subscriber } = listening({ url: proxy.url, channels: ['a'] });
    await subscriber.synced();
    proxy.pause();
    const added = subscriber.subscribe('b');
    const synced = subscriber.synced().then(() => subscriber.status);
    await proxy.refuse();
    await until(() => subscriber.status === 'down');
    await proxy.accept();
    expect(await synced).toBe('up');
    await added;
  });
});
