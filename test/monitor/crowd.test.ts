import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, expect, it } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';

const CLIENTS = 5_000;
/** Measured were 10 to 30, on a machine with two cores. */
const MOST_MS_PER_SECOND = 250;

const folder = useCompiled();
const redis = useRedis({ fresh: true, args: ['--maxclients', '6000'] });
const sockets: Socket[] = [];
afterAll(() => {
  for (const socket of sockets) socket.destroy();
});

/** One named client, of a few bytes. */
function named(name: string): Promise<void> {
  const { host, port } = redis().server;
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(`CLIENT SETNAME ${name}\r\n`));
    sockets.push(socket.once('data', () => resolve()).once('error', reject));
  });
}

/** The processor time that a process has used, in milliseconds. */
function processorMs(pid: number): number {
  const [, after = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = after.split(' ').slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) * 10;
}

it.skipIf(process.platform !== 'linux')(`costs little beside ${CLIENTS} named clients`, { timeout: 120_000 }, async () => {
  for (let first = 0; first < CLIENTS; first += 250) {
    await Promise.all(Array.from({ length: 250 }, (_, index) => named(`sp:service-${(first + index) % 100}:redis:${first + index}`)));
  }
  const child = startMonitor(folder, [redis().url, '--json']);
  const used: number[] = [];
  // The first seconds are those in which Node starts.
  for (let second = 2; second < 12; second++) {
    await until(() => child.samples().length > second, { timeoutMs: 20_000 });
    used.push(processorMs(child.process.pid ?? 0));
  }
  const last = child.samples().at(-1);
  expect(last).toMatchObject({ clients: CLIENTS + 2, names: expect.objectContaining({ length: 102 }) });
  const each = used.slice(1).map((ms, index) => ms - (used[index] ?? 0));
  const median = each.toSorted((a, b) => a - b)[Math.floor(each.length / 2)];
  expect(median, `processor time of each second: ${each.join(', ')} ms`).toBeLessThan(MOST_MS_PER_SECOND);
});
