import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import type { Random } from '../../dev/random.ts';
import { type DevRedis, startRedis } from '../../dev/redis-server.ts';

/** Written before the reply, so that what a client was told outlives the process; the machine does not die. */
const SERVER = {
  fresh: true,
  appendOnly: true,
  args: ['--appendfsync', 'no', '--enable-debug-command', 'yes', '--repl-diskless-sync-delay', '0'],
};

/** How long two servers may take to be of one mind, in milliseconds. */
const FAILOVER_MS = 30_000;

interface Member {
  readonly server: DevRedis;
  /** Talks to the server itself, beside the proxy. */
  readonly observer: Redis;
}

/** What faults are made of: a master and its replica, and the network between the pools and the master. */
export class World {
  readonly proxy: FaultProxy;
  readonly random: Random;
  #master: Member;
  #replica: Member;

  private constructor(proxy: FaultProxy, random: Random, master: Member, replica: Member) {
    this.proxy = proxy;
    this.random = random;
    this.#master = master;
    this.#replica = replica;
  }

  static async start(random: Random): Promise<World> {
    const [master, replica] = await Promise.all([startMember(), startMember()]);
    const world = new World(await FaultProxy.start(master.server), random, master, replica);
    await world.#follow();
    return world;
  }

  /** The master. */
  get server(): DevRedis {
    return this.#master.server;
  }

  get observer(): Redis {
    return this.#master.observer;
  }

  /**
   * Lets the replica take over, with all that the master has confirmed. From then on new connections lead to the new
   * master; those that are open stay with the old one, which now is a replica and refuses to write.
   */
  async failover(): Promise<void> {
    await this.#follow();
    const { server } = this.#replica;
    await until('the replica takes over', async () => {
      const role = await roleOf(this.#replica);
      if (role !== 'master') await this.#master.observer.call('FAILOVER', 'TO', server.host, server.port).catch(() => {});
      return role === 'master';
    });
    [this.#master, this.#replica] = [this.#replica, this.#master];
    this.proxy.target = this.#master.server;
    await until('the old master follows', async () => (await roleOf(this.#replica)) === 'slave');
  }

  async stop(): Promise<void> {
    for (const { observer } of [this.#master, this.#replica]) observer.disconnect();
    await this.proxy.stop();
    await Promise.all([this.#master.server.stop(), this.#replica.server.stop()]);
  }

  /** Resolves when the replica has what the master has, on its disk, too: it may be killed as soon as it has taken over. */
  async #follow(): Promise<void> {
    const { server } = this.#master;
    await this.#replica.observer.replicaof(server.host, server.port);
    await until('the replica follows', async () => {
      const [above, below] = await Promise.all([this.#master.observer.info('replication'), this.#replica.observer.info()]);
      const isWritten = below.includes('aof_rewrite_in_progress:0') && below.includes('aof_rewrite_scheduled:0');
      return isWritten && below.includes('master_link_status:up') && above.includes('state=online');
    });
  }
}

async function startMember(): Promise<Member> {
  const server = await startRedis(SERVER);
  const observer = new Redis(server.url, { connectionName: 'observer', maxRetriesPerRequest: null });
  observer.on('error', () => {});
  return { server, observer };
}

async function roleOf({ observer }: Member): Promise<unknown> {
  return ((await observer.call('ROLE')) as readonly unknown[])[0];
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + FAILOVER_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${FAILOVER_MS} ms: ${what}`);
    await sleep(10);
  }
}
