import { setTimeout as sleep } from 'node:timers/promises';
import type { SubscriberOptions } from 'scoped-pool/pubsub';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type DevRedis, startRedis } from '../../dev/redis-server.ts';
import { ours, type TestSentinels, tell, useSentinels } from '../redis/sentinels.ts';
import { until } from '../support/until.ts';
import { expectExplained, FollowingPublisher } from './following.ts';
import { type Heard, listening } from './support.ts';

const SLOW = { timeoutMs: 30_000 };

/** A subscriber that finds its server by these sentinels. */
function following({ sentinels }: Pick<TestSentinels, 'sentinels'>, options: SubscriberOptions = {}): Heard {
  const addresses = sentinels.map(({ host, port }) => ({ host, port }));
  return listening({ sentinels: addresses, name: 'mymaster', channels: ['news'], pingMs: 100, pongMs: 100, ...options });
}

const isOn = async (server: DevRedis) => (await ours(server)).length > 0;
const roleOf = async (server: DevRedis) => ((await tell(server, 'ROLE')) as [string])[0];

describe('a subscriber that follows sentinels', () => {
  const all = useSentinels();

  it.each(['SIGKILL', 'SIGSTOP'] as const)(
    'goes to the new master when the old one is gone (%s), and stays there when it comes back',
    async (signal) => {
      const [master, replica] = all().servers;
      const heard = following(all());
      const { subscriber, of } = heard;
      await subscriber.synced();
      expect(await isOn(master)).toBe(true);
      const publisher = new FollowingPublisher(() => all().masterPort(), 'news', 'PUBLISH');
      await until(() => of('ping').length > 3 && heard.messages.length > 20);
      await master.kill(signal);
      await until(() => isOn(replica), SLOW);
      await until(() => subscriber.status === 'up', SLOW);
      await expectExplained(heard, publisher);
      expect(heard.gaps.length).toBeGreaterThan(0);
      if (signal === 'SIGKILL') await master.restart();
      else await master.kill('SIGCONT');
      const pings = of('ping').length;
      // A busy machine may bring about another failover.
      await until(async () => {
        const [current, other] = (await all().masterPort()) === master.port ? [master, replica] : [replica, master];
        return (await roleOf(other)) === 'slave' && (await isOn(current)) && !(await isOn(other)) && of('ping').length > pings + 5;
      }, SLOW);
      await until(() => subscriber.status === 'up');
      expect(of('failed')).toEqual([]);
    },
    90_000,
  );

  it('leaves a master in whose place another was put, before that is told so, and the gap says what is missing', async () => {
    const [master, replica] = all().servers;
    const heard = following(all());
    const { subscriber, of } = heard;
    await subscriber.synced();
    const publisher = new FollowingPublisher(() => all().masterPort(), 'news', 'PUBLISH');
    await until(() => of('ping').length > 3);
    // For four times as long, both will be masters.
    await tell(all().sentinels[0], 'SENTINEL', 'DEBUG', 'publish-period', '1500');
    await all().failOver();
    await until(() => of('down').length > 0);
    expect(await roleOf(master)).toBe('master');
    expect(of('down')[0]).toMatchObject({ reason: 'moved', error: { code: 'ERR_MASTER_MOVED' } });
    await until(() => isOn(replica));
    await until(() => subscriber.status === 'up');
    await expectExplained(heard, publisher);
    expect(heard.gaps[0]).toMatchObject({ reason: 'moved' });
    await until(async () => (await roleOf(master)) === 'slave', SLOW);
    expect([subscriber.status, await isOn(master)]).toEqual(['up', false]);
  }, 60_000);

  it('says what is wrong while there are no sentinels, at first and later, and comes back with them', async () => {
    const [sentinel] = all().sentinels as [DevRedis];
    const [master] = all().servers;
    await sentinel.kill('SIGKILL');
    const heard = following(all());
    const { subscriber, of, gaps } = heard;
    await until(() => of('retry').length >= 2);
    const message = expect.stringContaining(`no sentinel leads to a master of "mymaster" (127.0.0.1:${sentinel.port}: `);
    expect(of('retry')[0]).toMatchObject({ failures: 1, error: { message } });
    await sentinel.restart();
    await until(() => subscriber.status === 'up', SLOW);
    await sentinel.kill('SIGKILL');
    const goneAt = Date.now();
    const [retries, pings] = [of('retry').length, of('ping').length];
    // It needs none while its connection lives; but nobody says that this is still the master.
    await until(() => of('ping').length > pings + 5);
    expect(subscriber.status).toBe('up');
    await tell(master, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => of('retry').length > retries + 1);
    expect(of('retry').at(-1)).toMatchObject({ error: { message } });
    await sentinel.restart();
    await until(() => subscriber.status === 'up', SLOW);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.after).toBeLessThan(goneAt);
  }, 60_000);
});

describe('three sentinels', () => {
  const all = useSentinels({ sentinels: 3 });

  it('of which one is behind the times do not drive a subscriber away', async () => {
    const lines = [
      `sentinel monitor mymaster 127.0.0.1 ${all().servers[1].port} 1`,
      'sentinel down-after-milliseconds mymaster 600000',
      '',
    ];
    const late = await startRedis({ fresh: true, sentinel: lines.join('\n') });
    onTestFinished(() => late.stop());
    const { subscriber, of, events } = following({ sentinels: [...all().sentinels.slice(0, 2), late] });
    await subscriber.synced();
    const pings = of('ping').length;
    await until(() => of('ping').length > pings + 10);
    await sleep(100);
    expect(events.filter(({ event }) => event === 'down')).toEqual([]);
  });
});
