import { setTimeout as sleep } from 'node:timers/promises';
import { SubscriberRefusedError } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { listening, missing, NumberPublisher, numbersOf, outOfOrder, proxyTo, unexplained } from './support.ts';

const redis = useRedis({ fresh: true });

/** Somebody who may subscribe to `allowed`, `allowed:…` and nothing else. */
async function limited(): Promise<{ readonly username: string; readonly password: string }> {
  await redis().observer.call('ACL', 'SETUSER', 'limited', 'reset', 'on', '>secret', 'resetchannels', '&allowed*', '+@all');
  return { username: 'limited', password: 'secret' };
}

describe('a subscriber that the server refuses', () => {
  it.each([
    ['a wrong password', { username: 'limited', password: 'wrong', channels: ['allowed'] }, /WRONGPASS/],
    [
      'a channel that it may not hear',
      { username: 'limited', password: 'secret', channels: ['allowed', 'forbidden'] },
      /the server refuses "forbidden" \(NOPERM/,
    ],
    [
      'a database that is none',
      { db: 99, channels: ['allowed'] },
      /the server refuses it \(.*(DB index|invalid DB).*\)\. Correct .*database/,
    ],
  ])('fails once and for all: %s', async (_, options, message) => {
    await limited();
    const proxy = await proxyTo(redis());
    const { subscriber, of, reports } = listening({ host: proxy.host, port: proxy.port, ...options });
    const iterating = (async () => {
      for await (const item of subscriber) expect(item).toBe('nothing');
    })();
    const refused = { code: 'ERR_SUBSCRIBER_REFUSED', message: expect.stringMatching(message), cause: { name: 'ReplyError' } };
    await expect(subscriber.synced()).rejects.toMatchObject(refused);
    await expect(iterating).rejects.toThrow(SubscriberRefusedError);
    await expect(subscriber.subscribe('allowed:later')).rejects.toThrow(SubscriberRefusedError);
    await expect(subscriber.synced()).rejects.toThrow(SubscriberRefusedError);
    expect(subscriber.status).toBe('failed');
    const { accepted } = proxy;
    await sleep(300);
    expect([proxy.accepted, proxy.open]).toEqual([accepted, 0]);
    expect([of('failed').length, of('retry').length, reports.length]).toEqual([1, 0, 0]);
    expect(String(of('failed')[0])).not.toContain('secret');
  });

  it('says so to its scope when nobody listens', async () => {
    const { subscriber, reports } = listening({ url: redis().url, username: 'nobody', password: 'wrong' });
    subscriber.removeAllListeners();
    await until(() => reports.length === 1);
    expect(reports).toMatchObject([{ code: 'ERR_SUBSCRIBER_REFUSED' }]);
  });

  it('goes on without a name that it is refused later', async () => {
    const { subscriber, messages } = listening({ url: redis().url, ...(await limited()), channels: ['allowed'] });
    const early = expect(subscriber.subscribe('early', 'allowed:early')).rejects.toThrow(/"early".*NOPERM/);
    await subscriber.synced();
    await early;
    await expect(subscriber.subscribe('forbidden', 'allowed:2')).rejects.toThrow(/"forbidden".*NOPERM/);
    await expect(subscriber.psubscribe('*')).rejects.toThrow(SubscriberRefusedError);
    await subscriber.synced();
    for (const channel of ['allowed', 'allowed:early', 'allowed:2', 'forbidden']) await redis().observer.publish(channel, channel);
    await until(() => messages.length === 3);
    expect(messages.map(({ channel }) => channel)).toEqual(['allowed', 'allowed:early', 'allowed:2']);
    expect(subscriber.status).toBe('up');
  });

  it('goes on without it also when it is asked for while another is acknowledged', async () => {
    const proxy = await proxyTo(redis());
    const { subscriber } = listening({ url: proxy.url, ...(await limited()), channels: ['allowed'] });
    await subscriber.synced();
    proxy.delayMs = 100;
    const before = subscriber.subscribe('allowed:2');
    await sleep(150);
    await expect(subscriber.subscribe('forbidden')).rejects.toThrow(/"forbidden".*NOPERM/);
    await before;
    await subscriber.synced();
    expect(subscriber.status).toBe('up');
  });

  it('changes its connection with a gap where it may not use the private channel, and gives nothing twice', async () => {
    const { subscriber, messages, gaps } = listening({
      url: redis().url,
      ...(await limited()),
      channels: ['allowed'],
      pingMs: 200,
      pongMs: 200,
    });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), 'allowed', 1_000);
    for (let round = 1; round <= 5; round++) {
      await sleep(100);
      subscriber.refresh();
      await until(() => subscriber.epoch === round + 1);
    }
    await until(() => messages.at(-1)?.epoch === 6);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    expect(gaps.map(({ reason }) => reason)).toEqual(Array.from({ length: 5 }, () => 'refreshed'));
    expect(outOfOrder(numbersOf(messages))).toEqual([]);
    expect(unexplained(missing(numbersOf(messages), sent, 0), publisher, gaps)).toEqual([]);
  });

  it('fails when its password is not right any more', async () => {
    const { subscriber, of } = listening({ url: redis().url, ...(await limited()), channels: ['allowed'] });
    await subscriber.synced();
    // The server closes the connections of a user who is gone.
    await redis().observer.call('ACL', 'DELUSER', 'limited');
    await until(() => subscriber.status === 'failed');
    expect(of('down')).toHaveLength(1);
    expect(of('failed')).toMatchObject([{ code: 'ERR_SUBSCRIBER_REFUSED' }]);
  });
});
