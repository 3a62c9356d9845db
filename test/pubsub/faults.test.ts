import { setTimeout as sleep } from 'node:timers/promises';
import type { DownReason, Gap, Message } from 'scoped-pool/pubsub';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FaultProxy } from '../../dev/fault-proxy.ts';
import { Random } from '../../dev/random.ts';
import { openRedis, useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import {
  listening,
  missing,
  NumberPublisher,
  numbersOf,
  outOfOrder,
  proxyTo,
  serverDeafTo,
  subscriberName,
  type Told,
  unexplained,
} from './support.ts';

const redis = useRedis({ fresh: true });

/** By how much timers and sockets of a loaded machine may be late, in milliseconds. */
const LATE_MS = 250;
const RULES = { pingMs: 600, pongMs: 400 };
/** What is promised: pingMs + pongMs, and 5 %. */
const DETECTED_MS = (RULES.pingMs + RULES.pongMs) * 1.05 + LATE_MS;

/** Every message came, once and in order, and no gap was told of. */
function expectAll(sent: number, messages: readonly Message[], gaps: readonly Gap[]): void {
  const numbers = numbersOf(messages);
  expect({ lost: missing(numbers, sent, 0), twice: outOfOrder(numbers), gaps }).toEqual({ lost: [], twice: [], gaps: [] });
}

describe('a connection that dies in silence', () => {
  it.each(['while messages come', 'while none come'])('is noticed in time, %s, and replaced at once', async (traffic) => {
    const proxy = await proxyTo(redis());
    const channel = subscriberName();
    const { subscriber, events, messages, gaps, of } = listening({ ...RULES, url: proxy.url, channels: [channel] });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), channel, traffic === 'while messages come' ? 200 : 2);
    for (let round = 1; round <= 3; round++) {
      // At another moment between two pings each time.
      await sleep(250 * round);
      proxy.blackHole();
      const begun = performance.now();
      await until(() => of('up').length > round);
      const [down, up] = [
        events.filter(({ event }) => event === 'down')[round - 1],
        events.filter(({ event }) => event === 'up')[round],
      ] as [Told, Told];
      expect(down.told).toMatchObject({ epoch: round, reason: 'heartbeat-timeout', error: { code: 'ERR_HEARTBEAT_TIMEOUT' } });
      expect(down.at - begun).toBeLessThan(DETECTED_MS);
      // Of 100 ms that are promised from the moment in which a replacement can connect.
      expect(up.at - down.at).toBeLessThan(100 + LATE_MS);
      expect(gaps).toHaveLength(round);
    }
    await until(() => messages.at(-1)?.epoch === 4);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    const numbers = numbersOf(messages);
    expect(outOfOrder(numbers)).toEqual([]);
    expect(unexplained(missing(numbers, sent, 0), publisher, gaps)).toEqual([]);
    expect(of('failed')).toEqual([]);
  });

  it('is no dead one because the event loop was blocked', async () => {
    const { subscriber, of } = listening({ url: redis().url, channels: ['blocked'], pingMs: 100, pongMs: 50 });
    await subscriber.synced();
    const random = new Random(3);
    for (let round = 0; round < 15; round++) {
      block(random.between(150, 550));
      await sleep(random.between(0, 120));
    }
    expect(of('ping').length).toBeGreaterThan(10);
    expect(of('down')).toEqual([]);
  });
});

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

describe('a server that lets in and never answers', () => {
  it('is given up when the attempt has lasted for connectTimeoutMs, and tried again', async () => {
    const proxy = await proxyTo(redis());
    proxy.admit = 'silent';
    const { subscriber, of } = listening({ url: proxy.url, channels: ['silent'], connectTimeoutMs: 200 });
    await until(() => of('retry').length >= 2);
    expect(of('retry')[0]).toMatchObject({ failures: 1, error: { code: 'ERR_CONNECT_TIMEOUT' } });
    proxy.admit = 'pass';
    await subscriber.synced();
    expect(subscriber.epoch).toBe(1);
  });

  it('is given up also where it stops to answer before the channels are acknowledged', async () => {
    const { url, open } = await serverDeafTo(redis(), /\nsubscribe\r/i);
    const { of } = listening({ url, channels: ['mute'], connectTimeoutMs: 200 });
    // On a busy machine an attempt may also come less far.
    const deaf = () => (of('retry') as readonly { error: Error }[]).filter(({ error }) => error.message.includes('did not acknowledge'));
    await until(() => deaf().length >= 2);
    expect(deaf()[0]).toMatchObject({ error: { code: 'ERR_CONNECT_TIMEOUT' } });
    expect(open.size).toBeLessThanOrEqual(1);
  });
});

describe('a stall in which nothing is lost', () => {
  const options = { pingMs: 500, pongMs: 500, connectTimeoutMs: 500 };

  it('costs no message when the server is stopped for 5 s', async () => {
    const channel = subscriberName();
    const { subscriber, messages, gaps, of } = listening({ ...options, url: redis().url, channels: [channel] });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), channel, 1_000);
    await sleep(1_000);
    await redis().server.kill('SIGSTOP');
    await sleep(5_000);
    await redis().server.kill('SIGCONT');
    await until(() => subscriber.epoch > 1 && subscriber.status === 'up');
    await sleep(500);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    expect(of('down')).toHaveLength(1);
    expectAll(sent, messages, gaps);
    expect(sent).toBeGreaterThan(6_000);
  });

  it('costs no message when the network is cut in two for 5 s', async () => {
    const proxy = await proxyTo(redis());
    const channel = subscriberName();
    const { subscriber, messages, gaps, of } = listening({ ...options, url: proxy.url, channels: [channel] });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), channel, 1_000);
    await sleep(1_000);
    proxy.pause();
    proxy.admit = 'silent';
    await sleep(5_000);
    proxy.resume();
    proxy.admit = 'pass';
    await until(() => subscriber.epoch > 1 && subscriber.status === 'up');
    await sleep(500);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    expect(of('down')).toHaveLength(1);
    expectAll(sent, messages, gaps);
  });
});

describe('refresh()', () => {
  it('costs no message in 10 rotations at 1,000 a second, and nobody is down', async () => {
    const channel = subscriberName();
    const { subscriber, messages, gaps, of } = listening({ url: redis().url, channels: [channel] });
    await subscriber.synced();
    const publisher = new NumberPublisher(redis(), channel, 1_000);
    for (let round = 1; round <= 10; round++) {
      await sleep(100);
      subscriber.refresh();
      await until(() => subscriber.epoch === round + 1);
    }
    await until(() => messages.at(-1)?.epoch === 11);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    expectAll(sent, messages, gaps);
    expect(of('down')).toEqual([]);
    expect(new Set(messages.map(({ epoch }) => epoch)).size).toBe(11);
  });

  it('costs no message over a slow network with little traffic, either', async () => {
    const proxy = await proxyTo(redis());
    const channel = subscriberName();
    const { subscriber, messages, gaps } = listening({ url: proxy.url, channels: [channel] });
    await subscriber.synced();
    proxy.delayMs = 120;
    const publisher = new NumberPublisher(redis(), channel, 20);
    subscriber.refresh();
    await until(() => subscriber.epoch === 2);
    const sent = await publisher.stop();
    await until(() => messages.at(-1)?.message === `${sent - 1}`);
    expectAll(sent, messages, gaps);
  });
});

describe('a change of connections that fails at its last step', () => {
  it.each(['heartbeat', 'delivery probe'])(
    'has a gap from where the old one was left, though that goes on answering: %s',
    async (proof) => {
      const muted = await serverDeafTo(redis(), /(?!)/, /\nmessage\r/);
      let url = redis().url;
      const publish = (channel: string, mark: string) => redis().observer.publish(channel, mark);
      const deliveryProbe = proof === 'heartbeat' ? undefined : { publish, everyMs: 30 };
      const { subscriber, messages, gaps, of } = listening({
        connect: () => ({ url }),
        channels: ['left'],
        pingMs: 30,
        pongMs: 30,
        deliveryProbe,
      });
      await subscriber.synced();
      url = muted.url;
      subscriber.refresh();
      await until(() => of('retry').length > 0);
      const lostAt = Date.now();
      await redis().observer.publish('left', 'lost');
      await sleep(200);
      url = redis().url;
      await until(() => subscriber.epoch === 2);
      expect([messages, gaps.length]).toEqual([[], 1]);
      expect(gaps[0]?.after).toBeLessThan(lostAt);
    },
  );
});

describe('a subscriber that is too slow for the server', () => {
  it('is told of a gap when the server throws its messages away and closes', async () => {
    const slow = await openRedis({ fresh: true, args: ['--client-output-buffer-limit', 'pubsub 1mb 1mb 1'] });
    onTestFinished(() => slow.stop());
    const proxy = await proxyTo(slow);
    const { subscriber, messages, gaps, of } = listening({ url: proxy.url, channels: ['big'] });
    await subscriber.synced();
    proxy.pause();
    const publishedAt: number[] = [];
    const filler = 'x'.repeat(100_000);
    await until(async () => {
      await slow.observer.publish('big', `${publishedAt.length}:${filler}`);
      publishedAt.push(Date.now());
      return (await slow.clients('sp:test')).length === 0;
    });
    proxy.resume();
    await until(() => subscriber.epoch === 2);
    expect(of('down')).toMatchObject([{ reason: 'closed' satisfies DownReason }]);
    const came = new Set(messages.map(({ message }) => Number.parseInt(message, 10)));
    const lost = publishedAt.filter((_, number) => !came.has(number));
    const [gap] = gaps as [Gap];
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.filter((at) => at <= gap.after || at >= gap.before)).toEqual([]);
  });
});

describe('deliveryProbe', () => {
  it('finds a server that answers and that nobody publishes to any more', async () => {
    const other = await openRedis({ fresh: true });
    onTestFinished(() => other.stop());
    const proxy = await proxyTo(redis());
    let publishers = redis();
    const deliveryProbe = { publish: (channel: string, message: string) => publishers.observer.publish(channel, message), everyMs: 150 };
    const { subscriber, messages, gaps, of } = listening({ url: proxy.url, channels: ['moved'], pingMs: 100, pongMs: 100, deliveryProbe });
    await subscriber.synced();
    await sleep(500);
    expect(of('down')).toEqual([]);
    proxy.target = other.server;
    publishers = other;
    const movedAt = Date.now();
    await other.observer.publish('moved', 'lost');
    await until(() => subscriber.epoch === 2);
    expect(of('down')).toMatchObject([{ reason: 'delivery-probe', error: { code: 'ERR_DELIVERY_STOPPED' } }]);
    await other.observer.publish('moved', 'heard');
    await until(() => messages.length > 0);
    expect(messages.map(({ message }) => message)).toEqual(['heard']);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.after).toBeLessThan(movedAt);
  });

  const publish = (channel: string, message: string) => redis().observer.publish(channel, message);

  it.each<[string, (channel: string, message: string) => Promise<unknown>]>([
    ['cannot publish', () => Promise.reject(new Error('no publisher'))],
    ['waits for its server', () => new Promise(() => {})],
    ['is slow', (...what) => sleep(60).then(() => publish(...what))],
    ['blocks the event loop', (...what) => publish(...what).then(() => void setTimeout(() => block(60)))],
  ])('blames no connection for a publisher that %s', async (_, publishIt) => {
    const proxy = await proxyTo(redis());
    const { subscriber, of } = listening({ url: proxy.url, channels: ['fine'], deliveryProbe: { publish: publishIt, everyMs: 30 } });
    await subscriber.synced();
    proxy.delayMs = 10;
    await sleep(500);
    expect(of('down')).toEqual([]);
  });
});

type Fault = (proxy: FaultProxy, random: Random) => Promise<unknown>;

/** What may happen, each for a while. */
const FAULTS: Readonly<Record<string, Fault>> = {
  reset: async (proxy) => proxy.reset(),
  finish: async (proxy) => proxy.finish(),
  blackHole: async (proxy) => proxy.blackHole(),
  halfBlackHole: async (proxy) => proxy.blackHole('replies'),
  heal: async (proxy) => proxy.heal(),
  kill: async () => redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
  slow: async (proxy, random) => {
    proxy.delayMs = random.between(1, 60);
    await sleep(300);
    proxy.delayMs = 0;
  },
  stall: async (proxy, random) => {
    proxy.pause();
    await sleep(random.between(50, 900));
    proxy.resume();
  },
  refuse: async (proxy, random) => {
    await proxy.refuse();
    await sleep(random.between(10, 400));
    await proxy.accept();
  },
  silent: async (proxy, random) => {
    proxy.admit = 'silent';
    proxy.reset();
    await sleep(random.between(10, 400));
    proxy.admit = 'pass';
  },
};

describe('whatever fails', () => {
  it.each([1, 2, 3].map((round) => (Date.now() % 100_000) * 10 + round))(
    'every message that is lost is in a gap, none comes twice, and all are in order (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      const proxy = await proxyTo(redis());
      const channel = subscriberName();
      const { subscriber, messages, gaps } = listening({
        url: proxy.url,
        channels: [channel],
        pingMs: 150,
        pongMs: 150,
        connectTimeoutMs: 300,
      });
      await subscriber.synced();
      const publisher = new NumberPublisher(redis(), channel, 1_000);
      for (let round = 0; round < 12; round++) {
        await FAULTS[random.pick(Object.keys(FAULTS))]?.(proxy, random);
        if (random.next() < 0.3) subscriber.refresh();
        await sleep(random.between(0, 600));
      }
      await proxy.accept();
      const healedAt = publisher.sent;
      // Over a connection that lives: that the last one is dead may not be known yet.
      await until(() => Number(messages.at(-1)?.message) >= healedAt, { timeoutMs: 10_000 });
      const sent = await publisher.stop();
      await until(() => messages.at(-1)?.message === `${sent - 1}`, { timeoutMs: 10_000 });
      const numbers = numbersOf(messages);
      const lost = missing(numbers, sent, 0);
      expect(outOfOrder(numbers)).toEqual([]);
      expect(unexplained(lost, publisher, gaps)).toEqual([]);
    },
  );
});
