import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll } from 'vitest';
import type { TestRedis } from '../support/redis.ts';

/** What connects so many clients, each of a few bytes; they leave after the tests. */
export function useCrowd(redis: () => TestRedis): (count: number, nameOf: (index: number) => string) => Promise<void> {
  const sockets: Socket[] = [];
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
  });
  const named = (name: string) =>
    new Promise((resolve, reject) => {
      const { host, port } = redis().server;
      const socket = connect(port, host, () => socket.write(`CLIENT SETNAME ${name}\r\n`));
      sockets.push(socket.once('data', resolve).once('error', reject));
    });
  return async (count, nameOf) => {
    for (let first = 0; first < count; first += 250)
      await Promise.all(Array.from({ length: Math.min(250, count - first) }, (_, index) => named(nameOf(first + index))));
  };
}

/** The processor time that a process has used, in milliseconds. */
export function processorMs(pid: number): number {
  const [, after = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = after.split(' ').slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) * 10;
}
