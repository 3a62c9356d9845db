import { setTimeout as sleep } from 'node:timers/promises';
import { clusterNode, type DownReason } from 'scoped-pool/pubsub';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import type { DevRedis } from '../../dev/redis-server.ts';
import { slotOnTheMove, type TestCluster, useCluster } from '../redis/cluster/support.ts';
import { until } from '../support/until.ts';
import { expectExplained, FollowingPublisher } from './following.ts';
import { type Heard, listening, missing, numbersOf, subscriberName } from './support.ts';

const BEAT = { pingMs: 300, pongMs: 300, connectTimeoutMs: 1_000 };

/** The node on which the subscriber has a connection. */
async function nodeOf(cluster: TestCluster, { subscriber }: Heard): Promise<DevRedis | undefined> {
  for (const node of cluster.masters) {
    const list = await Promise.race([cluster.observer(node).client('LIST'), sleep(500)]);
    if (String(list).includes(` name=sp:test:${subscriber.name}:`)) return node;
  }
  return undefined;
}

describe('a subscriber of a cluster', () => {
  const cluster = useCluster();

  it.each([
    ['hears what is published at any node', 'channels', 'PUBLISH'],
    ['hears its sharded channels', 'shardChannels', 'SPUBLISH'],
  ] as const)('%s, and stays on its node where it is refreshed, without loss', async (_, kind, command) => {
    const [, , other] = cluster().masters as [DevRedis, DevRedis, DevRedis];
    const channel = cluster().keyOn(other);
    const heard = listening({ connect: clusterNode(cluster().nodes), [kind]: [channel] });
    await heard.subscriber.synced();
    const node = await nodeOf(cluster(), heard);
    const publisher = new FollowingPublisher([other], channel, command);
    for (let round = 2; round <= 6; round++) {
      heard.subscriber.refresh();
      await until(() => heard.subscriber.epoch === round);
      expect(await nodeOf(cluster(), heard)).toBe(node);
    }
    await expectExplained(heard, publisher);
    expect(heard.gaps).toEqual([]);
  });

  it('tells of a gap when it is led to another node behind the same address', async () => {
    const [first, second, third] = cluster().masters as [DevRedis, DevRedis, DevRedis];
    const proxy = await FaultProxy.start(first);
    onTestFinished(() => proxy.stop());
    const channel = cluster().keyOn(third);
    const heard = listening({ url: proxy.url, channels: [channel] });
    await heard.subscriber.synced();
    const publisher = new FollowingPublisher([third], channel, 'PUBLISH');
    for (let round = 2; round <= 6; round++) {
      proxy.target = round % 2 === 0 ? second : first;
      heard.subscriber.refresh();
      await until(() => heard.subscriber.epoch === round);
    }
    await expectExplained(heard, publisher);
    expect(heard.gaps.map(({ reason }) => reason)).toEqual(Array.from({ length: 5 }, () => 'refreshed' satisfies DownReason));
  });

  it('follows its sharded channel to the node that its slot goes to', async () => {
    const tag = subscriberName();
    const { from, to, begin, end } = await slotOnTheMove(cluster(), tag);
    const channel = `{${tag}}`;
    const heard = listening({ ...BEAT, connect: clusterNode(cluster().nodes), shardChannels: [channel] });
    await heard.subscriber.synced();
    expect(await nodeOf(cluster(), heard)).toBe(from);
    const publisher = new FollowingPublisher([from], channel, 'SPUBLISH');
    await until(() => heard.of('ping').length > 1);
    await begin();
    await end();
    await until(() => heard.subscriber.epoch === 2 && heard.subscriber.status === 'up');
    expect(await nodeOf(cluster(), heard)).toBe(to);
    expect(heard.of('down')).toMatchObject([{ epoch: 1, reason: 'moved', error: { code: 'ERR_SHARD_CHANNEL_MOVED' } }]);
    await expectExplained(heard, publisher);
    expect(heard.gaps).toMatchObject([{ reason: 'moved' }]);
  });

  it('tells of a gap when its slot was away for a moment', async () => {
    const tag = subscriberName();
    const channel = `{${tag}}`;
    const { from, to } = await slotOnTheMove(cluster(), tag);
    const [ids, slot] = [
      await Promise.all([from, to].map((node) => cluster().observer(node).cluster('MYID'))),
      await cluster().observer(from).cluster('KEYSLOT', channel),
    ];
    const give = async (id: unknown, nodes: readonly DevRedis[]) => {
      for (const node of nodes) await cluster().observer(node).call('CLUSTER', 'SETSLOT', slot, 'NODE', String(id));
    };
    // The pings that are answered while it is away prove nothing of it.
    let isAway = false;
    const pick = clusterNode([from]);
    const connect = async (context: Parameters<typeof pick>[0]) => {
      await until(() => !isAway, { timeoutMs: 10_000 });
      return pick(context);
    };
    const heard = listening({ ...BEAT, connectTimeoutMs: 10_000, pingMs: 50, pongMs: 50, connect, shardChannels: [channel] });
    await heard.subscriber.synced();
    const publisher = new FollowingPublisher([from], channel, 'SPUBLISH');
    await until(() => heard.messages.length > 20);
    isAway = true;
    await give(ids[1], [to, from]);
    await until(() => heard.of('down').length === 1);
    await sleep(400);
    await give(ids[0], [from, to]);
    isAway = false;
    await until(() => heard.subscriber.epoch > 1 && heard.subscriber.status === 'up');
    await expectExplained(heard, publisher);
    const numbers = numbersOf(heard.messages);
    expect(publisher.published(missing(numbers, publisher.sent, 0)).length).toBeGreaterThan(50);
  });
});

describe('sharded channels of several nodes', () => {
  const cluster = useCluster();

  it.each(['clusterNode', 'url'])('are refused at once, by %s', async (by) => {
    const [first, second] = cluster().masters as [DevRedis, DevRedis];
    const shardChannels = [cluster().keyOn(first), cluster().keyOn(second)];
    const where = by === 'url' ? { url: first.url } : { connect: clusterNode(cluster().nodes) };
    const { subscriber, of } = listening({ ...where, shardChannels });
    await expect(subscriber.synced()).rejects.toMatchObject({ code: 'ERR_SHARD_CHANNELS_APART' });
    expect(subscriber.status).toBe('failed');
    expect(of('failed')).toHaveLength(1);
  });

  it.each(['clusterNode', 'url'])('are refused when they are added later, and the others go on: by %s', async (by) => {
    const [first, second] = cluster().masters as [DevRedis, DevRedis];
    const [here, elsewhere] = [cluster().keyOn(first), cluster().keyOn(second)];
    const where = by === 'url' ? { url: first.url } : { connect: clusterNode(cluster().nodes) };
    const { subscriber, of, messages, gaps } = listening({ ...where, shardChannels: [here] });
    const early = subscriber.ssubscribe(elsewhere);
    await expect(early).rejects.toMatchObject({ code: 'ERR_SHARD_CHANNELS_APART', message: expect.stringContaining(elsewhere) });
    await subscriber.synced();
    await expect(subscriber.ssubscribe(elsewhere)).rejects.toMatchObject({ code: 'ERR_SHARD_CHANNELS_APART' });
    await cluster().observer(first).spublish(here, 'still');
    await until(() => messages.length === 1);
    await subscriber.sunsubscribe(here);
    expect([subscriber.epoch, gaps, of('down')]).toEqual([1, [], []]);
  });

  it('that come apart later are waited for, and those that are still there go on', async () => {
    const [tag, other] = [subscriberName(), subscriberName()];
    const moving = await slotOnTheMove(cluster(), tag);
    const channels = [`{${tag}}`, cluster().keyOn(moving.from, other)];
    const { subscriber, messages, of, gaps } = listening({ connect: clusterNode(cluster().nodes), shardChannels: channels });
    await subscriber.synced();
    await moving.begin();
    await moving.end();
    await until(() => of('retry').length > 1, { timeoutMs: 10_000 });
    expect(of('retry').at(-1)).toMatchObject({ error: { code: expect.stringMatching(/^ERR_SHARD_CHANNEL/) } });
    await cluster()
      .observer(moving.from)
      .spublish(channels[1] ?? '', 'still');
    await until(() => messages.length === 1);
    await subscriber.sunsubscribe(channels[1] ?? '');
    await until(() => subscriber.status === 'up', { timeoutMs: 10_000 });
    await cluster()
      .observer(moving.to)
      .spublish(channels[0] ?? '', 'again');
    await until(() => messages.length === 2);
    expect(gaps).toMatchObject([{ reason: 'moved' }]);
  });

  it('are one after the other where one has gone before the next comes', async () => {
    const [first, second] = cluster().masters as [DevRedis, DevRedis];
    const heard = listening({ connect: clusterNode(cluster().nodes), channels: ['all'] });
    const { subscriber, messages } = heard;
    for (const [round, node] of [first, second, first].entries()) {
      const channel = cluster().keyOn(node, `round:${round}`);
      await subscriber.ssubscribe(channel);
      await subscriber.synced();
      expect(await nodeOf(cluster(), heard)).toBe(node);
      await cluster().observer(node).spublish(channel, `${round}`);
      await until(() => messages.at(-1)?.message === `${round}`);
      await subscriber.sunsubscribe(channel);
    }
    expect(subscriber.status).toBe('up');
  });

  it('are refused where there is no way to another node, and the subscriber goes on', async () => {
    const [first, second] = cluster().masters as [DevRedis, DevRedis];
    const { subscriber, of, messages } = listening({ url: first.url, channels: ['all'] });
    await subscriber.synced();
    await expect(subscriber.ssubscribe(cluster().keyOn(second))).rejects.toMatchObject({
      code: 'ERR_SHARD_CHANNEL_MOVED',
      message: expect.stringContaining('clusterNode'),
    });
    await cluster().observer(second).publish('all', 'still');
    await until(() => messages.length === 1);
    expect([subscriber.status, subscriber.epoch, of('down')]).toEqual(['up', 1, []]);
  });
});

describe.each(['SIGKILL', 'SIGSTOP'] as const)('when the node that is subscribed to is gone (%s)', (signal) => {
  // Nobody takes its slots, and the others are to serve theirs.
  const cluster = useCluster({ args: ['--cluster-require-full-coverage', 'no'] });

  it('another takes its place, also one that was not named, and the gap says what is missing', async () => {
    const [seed, other] = cluster().masters as [DevRedis, DevRedis];
    const channel = cluster().keyOn(other);
    const heard = listening({ ...BEAT, connect: clusterNode([seed]), channels: [channel] });
    await heard.subscriber.synced();
    expect(await nodeOf(cluster(), heard)).toBe(seed);
    const publisher = new FollowingPublisher([other], channel, 'PUBLISH');
    await until(() => heard.of('ping').length > 1);
    // Between two pings: what is on its way from node to node when it is sent is nobody's knowledge.
    await sleep(100);
    const goneAt = performance.now();
    await seed.kill(signal);
    await until(() => heard.subscriber.epoch === 2 && heard.subscriber.status === 'up');
    const [down] = heard.events.filter(({ event }) => event === 'down');
    expect(down?.told).toMatchObject({ reason: signal === 'SIGKILL' ? 'closed' : 'heartbeat-timeout' });
    expect((down?.at ?? 0) - goneAt).toBeLessThan((BEAT.pingMs + BEAT.pongMs) * 1.05 + 250);
    expect(await nodeOf(cluster(), heard)).not.toBe(seed);
    await expectExplained(heard, publisher);
    expect(heard.gaps).toHaveLength(1);
    expect(heard.of('failed')).toEqual([]);
  });
});

describe.each(['SIGKILL', 'SIGSTOP'] as const)('when the node that owns a sharded channel is gone (%s)', (signal) => {
  const cluster = useCluster({ replicas: 1 });

  it('the replica that takes its place is subscribed to', async () => {
    const [master] = cluster().masters as [DevRedis];
    const [replica] = cluster().replicas as [DevRedis];
    const channel = cluster().keyOn(master);
    const heard = listening({ ...BEAT, connect: clusterNode(cluster().nodes), shardChannels: [channel] });
    await heard.subscriber.synced();
    const publisher = new FollowingPublisher([master, replica], channel, 'SPUBLISH');
    await until(() => heard.of('ping').length > 1);
    await master.kill(signal);
    await until(() => heard.subscriber.epoch > 1 && heard.subscriber.status === 'up', { timeoutMs: 40_000 });
    expect(String(await cluster().observer(replica).client('LIST'))).toContain(` name=sp:test:${heard.subscriber.name}:`);
    await expectExplained(heard, publisher);
    if (signal === 'SIGSTOP') await master.kill('SIGCONT');
  }, 90_000);
});
