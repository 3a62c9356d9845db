import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { useCompiled } from '../support/compiled.ts';
import { type Program, startProgram } from '../support/program.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const folder = useCompiled();
const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

/** A process with a pool of two connections; answers each line with what came of a use, as JSON. */
function program(url: string): string {
  return `
    import { createInterface } from 'node:readline';
    import { Scope } from ${JSON.stringify(join(folder, 'index.js'))};
    import { defineRedisPool } from ${JSON.stringify(join(folder, 'redis/index.js'))};
    const pool = defineRedisPool('p', { url: ${JSON.stringify(url)}, max: 2, validateAfterIdleMs: 3_600_000, commandTimeoutMs: 2_000 });
    const all = async () => {
      // Both at a time, so that each has a connection of its own.
      const leases = await Promise.all([pool.acquire(), pool.acquire()]);
      const replies = await Promise.allSettled(leases.map(({ resource }) => resource.incr('n')));
      for (const lease of leases) lease.release();
      const { closedBy, created } = pool.stats();
      return { replies: replies.map(({ value, reason }) => value ?? String(reason)), closedBy, created };
    };
    Scope.process().run(async () => {
      for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify(await all()));
    });`;
}

/** Starts it; ended after the test. */
function start(source: string): Program {
  const program = startProgram(['--input-type=module', '-e', source]);
  ended.push(program.kill);
  return program;
}

describe('a process that was stopped for some seconds', () => {
  it('lends no connection that has died meanwhile without a word', async () => {
    const proxy = await FaultProxy.start(redis().server);
    ended.push(() => proxy.stop());
    const { child, ask } = start(program(proxy.url));
    expect(await ask()).toMatchObject({ replies: [1, 2], created: 2 });
    child.kill('SIGSTOP');
    proxy.blackHole();
    await sleep(2_300);
    child.kill('SIGCONT');
    const { replies, closedBy, created } = await ask();
    expect(replies).toEqual([3, 4]);
    expect(closedBy).toMatchObject({ invalid: 2 });
    expect(created).toBe(4);
  });

  it('keeps its connections when they live', async () => {
    const { child, ask } = start(program(redis().url));
    const before = (await ask()) as { replies: [number] };
    child.kill('SIGSTOP');
    await sleep(2_300);
    child.kill('SIGCONT');
    expect(await ask()).toMatchObject({ replies: [before.replies[0] + 2, before.replies[0] + 3], created: 2 });
  });
});
