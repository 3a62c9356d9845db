import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type DevSentinels, startSentinels } from '../../dev/redis-sentinel.ts';
import { ask } from '../../dev/redis-server.ts';
import { until } from '../support/until.ts';

const started: DevSentinels[] = [];
afterEach(async () => void (await Promise.all(started.splice(0).map((all) => all.stop()))));

async function start(options: Parameters<typeof startSentinels>[0] = {}): Promise<DevSentinels> {
  const all = await startSentinels(options);
  started.push(all);
  return all;
}

const isListening = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const portsIn = (text: string) => [...text.matchAll(/\r\n(\d{4,5})\r\n/g)].map(([, port]) => Number(port));

describe('startSentinels', () => {
  it('starts a master with replicas and sentinels that know of them and of one another', async () => {
    const { name, servers, sentinels } = await start({ sentinels: 3, replicas: 2 });
    const [master, ...replicas] = servers;
    expect([replicas.length, sentinels.length]).toEqual([2, 3]);
    for (const { port } of sentinels) {
      expect(portsIn(await ask(port, `SENTINEL GET-MASTER-ADDR-BY-NAME ${name}\r\nPING\r\n`, /PONG\r\n$/))).toEqual([master?.port]);
      const known = portsIn(await ask(port, `SENTINEL REPLICAS ${name}\r\nPING\r\n`, /PONG\r\n$/));
      expect(known).toEqual(expect.arrayContaining(replicas.map((replica) => replica.port)));
      await until(async () =>
        (await ask(port, `SENTINEL MASTER ${name}\r\nPING\r\n`, /PONG\r\n$/)).includes('num-other-sentinels\r\n$1\r\n2'),
      );
    }
  });

  it('has a replica promoted when the master is killed', async () => {
    const { name, servers, sentinels } = await start();
    await servers[0]?.kill('SIGKILL');
    const promoted = async () =>
      portsIn(await ask(sentinels[0]?.port ?? 0, `SENTINEL GET-MASTER-ADDR-BY-NAME ${name}\r\nPING\r\n`, /PONG\r\n$/));
    await until(async () => (await promoted())[0] === servers[1]?.port, { timeoutMs: 20_000 });
  });

  it('stops them all', async () => {
    const { servers, sentinels, stop } = await start();
    const ports = [...servers, ...sentinels].map(({ port }) => port);
    await stop();
    expect(await Promise.all(ports.map(isListening))).toEqual([false, false, false]);
  });
});
