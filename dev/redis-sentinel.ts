import { setTimeout as sleep } from 'node:timers/promises';
import { ask, type DevRedis, startRedis } from './redis-server.ts';

/** A master with replicas, and sentinels that watch over them. */
export interface DevSentinels {
  /** What the sentinels call the master. */
  readonly name: string;
  /** The first is the master at the beginning. */
  readonly servers: readonly DevRedis[];
  readonly sentinels: readonly DevRedis[];
  /** Ends them all and removes their folders. */
  stop(): Promise<void>;
}

export interface SentinelOptions {
  /** How many sentinels. Default 1. */
  readonly sentinels?: number;
  /** How many replicas. Default 1. */
  readonly replicas?: number;
  /** What the sentinels want to hear first. Default: nothing. */
  readonly password?: string;
}

const NAME = 'mymaster';
/** A server that is silent for so long is down, in milliseconds. */
const DOWN_AFTER_MS = 500;

/** Starts them on free ports of 127.0.0.1; one sentinel is enough to find the master down. They end with this process. */
export async function startSentinels(options: SentinelOptions = {}): Promise<DevSentinels> {
  const { sentinels: many = 1, replicas = 1, password } = options;
  const servers: DevRedis[] = [];
  const sentinels: DevRedis[] = [];
  const stop = async () => void (await Promise.all([...sentinels, ...servers].map((server) => server.stop())));
  try {
    const master = await startRedis({ fresh: true, args: REPLICATION });
    servers.push(master);
    for (let n = 0; n < replicas; n++) {
      servers.push(await startRedis({ fresh: true, args: [...REPLICATION, '--replicaof', `${master.host} ${master.port}`] }));
    }
    const sentinel = [...watching(master), ...(password === undefined ? [] : [`requirepass ${password}`]), ''].join('\n');
    for (let n = 0; n < many; n++) sentinels.push(await startRedis({ fresh: true, sentinel }));
    for (const { port } of sentinels) await hurry(port, replicas, password);
    return { name: NAME, servers, sentinels, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A new replica is to be there at once, not after seconds in which others might come. */
const REPLICATION = ['--repl-diskless-sync-delay', '0'];

function watching({ host, port }: DevRedis): readonly string[] {
  return [
    `sentinel monitor ${NAME} ${host} ${port} 1`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    // One that comes to nothing, because a busy machine let the replica look old, is tried again after twice that time.
    `sentinel failover-timeout ${NAME} 2500`,
  ];
}

const START_TIMEOUT_MS = 20_000;

/** Has the sentinel look around more often than every ten seconds (from Redis 7 on), and waits until it knows the replicas. */
async function hurry(port: number, replicas: number, password = ''): Promise<void> {
  const ours = `AUTH "${password}"\r\n`;
  // On a machine so busy that it is called late, a sentinel would do nothing for 30 s (tilt mode). It promotes no replica
  // of which it has not heard for five ping periods, and hears once a second while the master is down.
  await ask(port, `${ours}SENTINEL DEBUG info-period 100 publish-period 200 ping-period 1000 tilt-trigger 60000\r\nPING\r\n`, PONG);
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const text = await ask(port, `${ours}SENTINEL REPLICAS ${NAME}\r\nPING\r\n`, PONG);
    if (text.split('master-link-status\r\n$2\r\nok\r\n').length > replicas) return;
    if (Date.now() > deadline) throw new Error(`the sentinel does not find the replicas:\n${text}`);
    await sleep(20);
  }
}

const PONG = /\+PONG\r\n$/;
