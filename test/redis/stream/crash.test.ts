import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { useCompiled } from '../../support/compiled.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { addNumbers } from './support.ts';

const redis = useRedis();
const folder = useCompiled();
const ENTRIES = 4_000;

/** Writes down every entry, and after every hundredth where it is. */
const PROGRAM = `
  import { resume, withRoot } from './index.js';
  import { defineRedisPool, redisStream } from './redis/index.js';

  const pool = defineRedisPool('log', { url: process.argv[2], service: 's' });
  await withRoot(async () => {
    const stored = (await pool.get('checkpoint')) ?? undefined;
    const entries = resume(redisStream(pool, 'log', { count: 50 }), stored);
    let written = 0;
    for await (const { fields } of entries) {
      await pool.rpush('written', fields.n);
      if (++written % 100 === 0) await pool.set('checkpoint', entries.checkpoint);
    }
  });
`;

/** Writes down every entry that it gets of a group, one every few milliseconds. */
const MEMBER = `
  import { setTimeout as sleep } from 'node:timers/promises';
  import { resume, withRoot } from './index.js';
  import { consumerGroup, defineRedisPool } from './redis/index.js';

  const [, , url, consumer] = process.argv;
  const pool = defineRedisPool('log', { url, service: 's' });
  await withRoot(async () => {
    const entries = consumerGroup(pool, 'shared', { group: 'group', consumer, count: 20, blockMs: 100, claimAfterMs: 500 });
    for await (const { fields } of resume(entries, undefined)) {
      await pool.rpush('done', consumer + ' ' + fields.n);
      await sleep(2);
    }
  });
`;

function start(program: string, ...args: readonly string[]): ChildProcess {
  const file = join(folder, `${randomUUID()}.mjs`);
  writeFileSync(file, program);
  const reader = spawn(process.execPath, [file, redis().url, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  onTestFinished(() => void reader.kill('SIGKILL'));
  return reader;
}

/** What was written from that place on. */
const writtenFrom = async (place: number) => (await redis().observer.lrange('written', place, -1)).map(Number);
const last = async () => (await writtenFrom(-1))[0];

it('loses nothing when the consumer is killed, and repeats no more than what came behind the checkpoint that it had stored', async () => {
  await addNumbers(redis(), 'log', ENTRIES);
  const ids = (await redis().observer.xrange('log', '-', '+')).map(([id]) => id);
  let readers = 0;
  while ((await last()) !== ENTRIES - 1) {
    const behind = ids.indexOf((await redis().observer.get('checkpoint')) ?? '');
    const before = await redis().observer.llen('written');
    const reader = start(PROGRAM);
    readers++;
    await until(async () => (await last()) === ENTRIES - 1 || (await redis().observer.llen('written')) > before + 1_000, {
      timeoutMs: 60_000,
    });
    reader.kill('SIGKILL');
    await once(reader, 'exit');
    const written = await writtenFrom(before);
    expect(written).toEqual(written.map((_, at) => behind + 1 + at));
  }
  expect(readers).toBeGreaterThan(2);
  const all = await writtenFrom(0);
  expect(new Set(all).size).toBe(ENTRIES);
  expect(all.length - ENTRIES).toBeLessThan(100 * readers);
}, 120_000);

it('gives what a consumer that was killed had got to the others of its group', async () => {
  const entries = await addNumbers(redis(), 'shared', 600);
  const done = async () => (await redis().observer.lrange('done', 0, -1)).map((text) => text.split(' ') as [string, string]);
  const countOf = async (consumer: string) => (await done()).filter(([by]) => by === consumer).length;
  const killed = start(MEMBER, 'killed');
  await until(async () => (await countOf('killed')) > 50, { timeoutMs: 30_000 });
  start(MEMBER, 'other');
  await until(async () => (await countOf('other')) > 0, { timeoutMs: 30_000 });
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  await until(async () => new Set((await done()).map(([, n]) => n)).size === entries, { timeoutMs: 60_000 });
  // What it had done and not acknowledged, at the most.
  expect((await done()).length - entries).toBeLessThanOrEqual(20);
  await until(async () => Number(((await redis().observer.xpending('shared', 'group')) as unknown[])[0]) === 0);
}, 120_000);
