import { setTimeout as sleep } from 'node:timers/promises';
import { clusterNode } from 'scoped-pool/pubsub';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import type { DevRedis } from '../../dev/redis-server.ts';
import { startRedis } from '../../dev/redis-server.ts';
import { freePort } from '../../dev/server-process.ts';
import { useCluster } from '../redis/cluster/support.ts';
import { until } from '../support/until.ts';
import { listening, serverDeafTo } from './support.ts';

const cluster = useCluster();

async function proxyTo(node: DevRedis | undefined): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(node ?? { host: '', port: 0 });
  onTestFinished(() => proxy.stop());
  return proxy;
}

describe('clusterNode()', () => {
  it.each([
    ['no node', []],
    ['no list', 'redis://127.0.0.1:7000'],
    ['what is no node', ['http://127.0.0.1:7000']],
    ['a port that is none', [{ host: '127.0.0.1', port: 70_000 }]],
    ['a password that would hold for one node', ['redis://me:secret@127.0.0.1:7000']],
  ])('refuses %s', (_, nodes) => {
    const message = expect.stringMatching(/^(?!.*secret).*clusterNode\(\): its nodes must be a list of nodes, \{ host, port \}/);
    expect(() => clusterNode(nodes as string[])).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION', message }));
  });

  it('says what each node said when none leads anywhere', async () => {
    const single = await startRedis({ fresh: true });
    onTestFinished(() => single.stop());
    const port = await freePort();
    const { of } = listening({ connect: clusterNode([`redis://127.0.0.1:${port}`, single.url]), password: undefined });
    await until(() => of('retry').length > 0);
    const [{ error }] = of('retry') as [{ error: Error }];
    expect(error.message).toContain(`127.0.0.1:${port}: connect ECONNREFUSED`);
    expect(error.message).toContain(`127.0.0.1:${single.port}: ERR This instance has cluster support disabled`);
  });

  it('asks with the user and password of the subscriber, and connects with them', async () => {
    for (const node of cluster().masters) await cluster().observer(node).call('ACL', 'SETUSER', 'hearer', 'on', '>secret', '&*', '+@all');
    const connect = clusterNode(cluster().nodes);
    const { subscriber } = listening({ connect, username: 'hearer', password: 'secret', channels: ['news'] });
    await subscriber.synced();
    const lists = await Promise.all(cluster().masters.map(async (node) => String(await cluster().observer(node).client('LIST'))));
    const lines = lists.join('').split('\n');
    expect(lines.filter((line) => line.includes(subscriber.name)).map((line) => / user=(\S+)/.exec(line)?.[1])).toEqual(['hearer']);
    const refused = listening({ connect, username: 'hearer', password: 'guessed', channels: ['news'] });
    await until(() => refused.subscriber.status === 'failed');
    const [error] = refused.of('failed');
    expect(error).toMatchObject({ code: 'ERR_SUBSCRIBER_REFUSED', cause: { message: expect.stringContaining('WRONGPASS') } });
    expect(String(error)).not.toContain('guessed');
  });

  it('waits for no node that is silent, and needs none of those that it was given once it knows others', async () => {
    const [server] = cluster().masters as [DevRedis];
    const silent = await serverDeafTo({ server }, /./);
    const first = await proxyTo(server);
    const { subscriber, of } = listening({ connect: clusterNode([silent.url, first]), channels: ['news'], connectTimeoutMs: 3_000 });
    await subscriber.synced();
    expect(of('retry')).toEqual([]);
    await until(() => silent.open.size === 0);
    first.admit = 'silent';
    first.reset();
    await until(() => subscriber.epoch === 2);
    expect(of('retry')).toEqual([]);
  });

  it('takes another node than the one that has failed, and the same where none has', async () => {
    const pick = clusterNode(cluster().nodes);
    const options = {};
    const ask = async (failures: number, error?: Error) => {
      const { signal } = new AbortController();
      return (await pick({ failures, error, options, subscriber: 'news', shardChannels: [], signal })).port;
    };
    let port = await ask(0);
    for (let failures = 0; failures < 20; failures++) {
      const next = await ask(failures, new Error('failed'));
      expect(next).not.toBe(port);
      expect(await ask(0)).toBe(next);
      port = next;
    }
  });

  it('can be led to where nodes are reached from here', async () => {
    const proxies = await Promise.all(cluster().masters.map((node) => proxyTo(node)));
    const pick = clusterNode(cluster().nodes);
    const ports = cluster().masters.map(({ port }) => port);
    const { subscriber, messages } = listening({
      connect: async (context) => {
        const { port } = await pick(context);
        return { port: proxies[ports.indexOf(Number(port))]?.port };
      },
      shardChannels: ['far'],
    });
    await subscriber.synced();
    const home = cluster().homeOf('far');
    expect(proxies.map(({ open }) => open)).toEqual(cluster().masters.map((node) => (node === home ? 1 : 0)));
    await cluster().observer(home).spublish('far', 'heard');
    await until(() => messages.length === 1);
  });

  it('leaves nothing open when the subscriber closes while it asks', async () => {
    const [server] = cluster().masters as [DevRedis];
    for (const words of [/./, /SLOTS/i]) {
      const { url, open } = await serverDeafTo({ server }, words);
      const { subscriber } = listening({ connect: clusterNode([url]), connectTimeoutMs: 60_000 });
      await until(() => open.size === 1);
      // It has said hello by then.
      await sleep(100);
      await subscriber.close();
      await until(() => open.size === 0);
    }
  });
});

describe('connect()', () => {
  it('is told when nobody waits for it any more', async () => {
    const signals: AbortSignal[] = [];
    const connect = ({ signal }: { readonly signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<never>(() => {});
    };
    const late = listening({ connect, connectTimeoutMs: 50 });
    await until(() => late.of('retry').length > 0);
    await late.subscriber.close();
    const [first] = signals.splice(0);
    expect(first?.aborted).toBe(true);
    const closed = listening({ connect, connectTimeoutMs: 60_000 });
    const signal = (await until(() => signals[0])) as AbortSignal;
    expect(signal.aborted).toBe(false);
    await closed.subscriber.close();
    expect(signal.aborted).toBe(true);
  });
});
