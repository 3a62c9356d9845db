import { getEventListeners } from 'node:events';
import { currentScope, type NotDecodableError, Scope, withRoot } from 'scoped-pool';
import { type Gap, type Message, publishFrom, subscribeTo, type TopicOptions } from 'scoped-pool/pubsub';
import { defineRedisPool } from 'scoped-pool/redis';
import { expectNoLeaks } from 'scoped-pool/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

interface Tick {
  readonly n: number;
  readonly word: string | null;
}

const redis = useRedis();
const publish = (channel: string, message: string | Buffer) => redis().observer.publish(channel, message);

/** Subscribed in a root of its own. */
async function topicOf<T>(topic: string, options: Omit<TopicOptions, 'codec'> = {}) {
  const reports: unknown[] = [];
  const scope = new Scope({ parent: null, name: 'root', onSuppressed: (error) => void reports.push(error) });
  onTestFinished(() => scope.close());
  const subscriber = scope.run(() => subscribeTo<T>(topic, { url: redis().url, service: 'topics', ...options }));
  const iterator = subscriber[Symbol.asyncIterator]();
  await subscriber.synced();
  return { scope, subscriber, iterator, reports };
}

async function rest<T>(iterator: AsyncIterable<Message<T> | Gap>): Promise<(T | Gap)[]> {
  const items: (T | Gap)[] = [];
  for await (const event of iterator) items.push(event.type === 'gap' ? event : event.message);
  return items;
}

describe('subscribeTo()', () => {
  it('gives what publishFrom was given, once for each iterator', async () => {
    const { scope, subscriber, iterator } = await topicOf<Tick>('ticks');
    const other = subscriber[Symbol.asyncIterator]();
    const ticks: Tick[] = Array.from({ length: 1_000 }, (_, n) => ({ n, word: n % 2 ? `wörd "${n}"\n` : null }));
    const heard: Message<Tick>[] = [];
    subscriber.on('message', (message) => void heard.push(message));
    await scope.run(() => publishFrom(ticks, defineRedisPool('ticks', { url: redis().url }), 'ticks').done);
    await until(() => heard.length === ticks.length);
    await subscriber.close();
    expect(await rest<Tick>(iterator)).toEqual(ticks);
    expect(await rest<Tick>(other)).toEqual(ticks);
    expect(heard[1]).toEqual({ type: 'message', channel: 'ticks', sharded: false, message: ticks[1], epoch: 1 });
    expect(subscriber.name).toBe('ticks');
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['false', false],
    ['an empty text', ''],
    ['0', 0],
  ])('takes %s for a message as any other', async (_, item) => {
    const { subscriber, iterator } = await topicOf('falsy');
    await publish('falsy', JSON.stringify(item));
    expect(await iterator.next()).toMatchObject({ value: { type: 'message', message: item } });
    await subscriber.close();
  });

  it('gives bytes as they are', async () => {
    await withRoot(async () => {
      const subscriber = subscribeTo('raw', { url: redis().url, codec: 'bytes' });
      const iterator = subscriber[Symbol.asyncIterator]();
      await subscriber.synced();
      const bytes = Buffer.from([0, 255, 128]);
      await publish('raw', bytes);
      expect(await iterator.next()).toMatchObject({ value: { message: bytes } });
    });
  });

  it('skips what is no JSON, and tells once of many, by topic and number, never by content', async () => {
    const { scope, subscriber, iterator, reports } = await topicOf<number>('mixed');
    for (const message of ['1', 'secret', '{"secret": ', '', '2']) await publish('mixed', message);
    expect(await iterator.next()).toMatchObject({ value: { message: 1 } });
    expect(await iterator.next()).toMatchObject({ value: { message: 2 } });
    await until(() => reports.length > 0);
    for (let count = 0; count < 100; count++) await publish('mixed', 'secret');
    await publish('mixed', '3');
    expect(await iterator.next()).toMatchObject({ value: { message: 3 } });
    await scope.close();
    expect(reports).toMatchObject([
      { code: 'ERR_NOT_DECODABLE', skipped: 3, message: expect.stringContaining('"mixed"') },
      { code: 'ERR_NOT_DECODABLE', skipped: 100 },
    ]);
    for (const report of reports as NotDecodableError[])
      expect(`${report.stack} ${JSON.stringify(report)} ${report.cause}`).not.toContain('secret');
    expect(subscriber.status).toBe('closed');
  });

  it('gives each iterator a buffer of its own', async () => {
    const { subscriber, iterator } = await topicOf<number>('slow', { maxBuffered: 10 });
    const fast = subscriber[Symbol.asyncIterator]();
    const taken: number[] = [];
    const taking = (async () => {
      for await (const event of fast) if (event.type === 'message') taken.push(event.message);
    })();
    for (let number = 0; number < 100; number++) {
      await publish('slow', `${number}`);
      await until(() => taken.length === number + 1);
    }
    await subscriber.close();
    await taking;
    const [gap, ...numbers] = await rest<number>(iterator);
    expect(taken).toHaveLength(100);
    expect(gap).toMatchObject({ type: 'gap', reason: 'overflow', dropped: 90 });
    expect(numbers).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  });

  it('gives a gap in its place, when the connection has broken', async () => {
    const { iterator } = await topicOf<number>('gaps');
    await publish('gaps', '1');
    await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await iterator.next()).toMatchObject({ value: { message: 1 } });
    expect(await iterator.next()).toMatchObject({ value: { type: 'gap', reason: 'closed' } });
    await publish('gaps', '2');
    expect(await iterator.next()).toMatchObject({ value: { message: 2, epoch: 2 } });
  });

  it('ends its iterators with why, where the server refuses it', async () => {
    await redis().observer.call('ACL', 'SETUSER', 'deaf', 'on', '>secret', '+@all', '~*', 'resetchannels');
    onTestFinished(async () => void (await redis().observer.call('ACL', 'DELUSER', 'deaf')));
    await withRoot(async () => {
      const subscriber = subscribeTo('forbidden', { url: redis().url, username: 'deaf', password: 'secret' });
      await expect(subscriber[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ERR_SUBSCRIBER_REFUSED' });
    });
  });

  it('leaves nothing on its scope', async () => {
    await withRoot(async (root) => {
      for (let round = 0; round < 20; round++) {
        await using subscriber = subscribeTo('left', { url: redis().url });
        subscriber[Symbol.asyncIterator]();
        await subscriber.synced();
      }
      expect(root.tree().children).toEqual([]);
      expect(getEventListeners(currentScope().signal, 'abort')).toEqual([]);
    });
    await expectNoLeaks({ allow: ['root'] });
  });

  it.each<[string, string, object, RegExp]>([
    ['no topic', '', {}, /subscribeTo\(\): its topic must be a text that is not empty/],
    ['channels', 'a', { channels: ['b'] }, /channels must be left out: its topic is its channel/],
    ['binary', 'a', { binary: true }, /binary must be left out: codec: "bytes" gives Buffers/],
    ['codec', 'a', { codec: 'xml' }, /codec must be one of "json", "bytes"; got "xml"/],
    ['pongMs', 'a', { pingMs: 10, pongMs: 20 }, /pongMs must be at most pingMs, 10; got 20/],
    ['overflow', 'a', { overflow: 'wait' }, /overflow must be one of "drop-oldest", "drop-newest", "fail"/],
  ])('says at once what is wrong with %s', async (_, topic, options, message) => {
    await withRoot(async () => {
      expect(() => subscribeTo(topic, options)).toThrow(message);
    });
  });

  it('needs a scope', () => {
    expect(() => subscribeTo('homeless')).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });
});
