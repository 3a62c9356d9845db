import { setTimeout as sleep } from 'node:timers/promises';
import type { World } from './world.ts';

type Fault = (world: World) => unknown;

/** How long what lasts lasts, in milliseconds: shorter and longer than the deadline of a command. */
const lasts = ({ random }: World) => sleep(random.between(20, 600));

/** Each begins, lasts, and is healed when it resolves. */
const FAULTS: Readonly<Record<string, Fault>> = {
  kill: ({ observer }) => observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
  killOne: async ({ observer, random }) => {
    const lines = String(await observer.client('LIST')).match(/^id=\d+.* name=sp:/gm) ?? [];
    const id = /\d+/.exec(lines.length > 0 ? random.pick(lines) : '')?.[0];
    if (id !== undefined) await observer.client('KILL', 'ID', id);
  },
  reset: ({ proxy }) => proxy.reset(),
  finish: ({ proxy }) => proxy.finish(),
  blackHole: async (world) => {
    world.proxy.blackHole();
    await lasts(world);
    world.proxy.heal();
  },
  blackHoleForAll: async (world) => {
    world.proxy.admit = 'silent';
    world.proxy.blackHole();
    await lasts(world);
    world.proxy.admit = 'pass';
    world.proxy.heal();
  },
  lostRepliesThenReset: async (world) => {
    world.proxy.blackHole('replies');
    await sleep(world.random.between(5, 100));
    world.proxy.reset();
  },
  partition: async (world) => {
    world.proxy.pause();
    await lasts(world);
    world.proxy.resume();
  },
  delay: async (world) => {
    world.proxy.delayMs = world.random.between(5, 100);
    await lasts(world);
    world.proxy.delayMs = 0;
  },
  refuse: async (world) => {
    await world.proxy.refuse();
    await lasts(world);
    await world.proxy.accept();
  },
  hangNew: async (world) => {
    world.proxy.admit = 'silent';
    world.proxy.reset();
    await lasts(world);
    world.proxy.admit = 'pass';
  },
  resetNew: async (world) => {
    world.proxy.admit = 'reset';
    world.proxy.reset();
    await lasts(world);
    world.proxy.admit = 'pass';
  },
  restart: async ({ server, observer, random }) => {
    await server.kill('SIGKILL');
    await sleep(random.between(0, 300));
    await server.restart();
    await observer.ping();
  },
  freeze: async (world) => {
    await world.server.kill('SIGSTOP');
    await lasts(world);
    await world.server.kill('SIGCONT');
  },
  block: ({ observer, random }) => observer.call('DEBUG', 'SLEEP', random.between(20, 600) / 1_000),
  replica: async (world) => {
    await world.observer.replicaof('127.0.0.1', 1);
    await lasts(world);
    await world.observer.replicaof('NO', 'ONE');
  },
  locked: async (world) => {
    await world.observer.config('SET', 'requirepass', 'secret');
    await world.observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await lasts(world);
    await world.observer.config('SET', 'requirepass', '');
  },
  failover: async (world) => {
    await world.failover();
    await lasts(world);
  },
  full: async (world) => {
    await world.observer.config('SET', 'maxclients', 1);
    await world.observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await lasts(world);
    await world.observer.config('SET', 'maxclients', 1_000);
  },
};

/** One fault after the other until the signal: each once, then at random. Resolves to how often each was. */
export async function causeFaults(world: World, signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
  const counts = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]));
  const first = world.random.shuffled(Object.entries(FAULTS));
  while (!signal.aborted) {
    const [name, fault] = first.pop() ?? world.random.pick(Object.entries(FAULTS));
    await fault(world);
    counts[name] = (counts[name] ?? 0) + 1;
    await sleep(world.random.between(10, 400));
  }
  return counts;
}
