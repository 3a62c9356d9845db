import { type ChildProcess, spawn } from 'node:child_process';
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

function startReader(): ChildProcess {
  const file = join(folder, 'reader.mjs');
  writeFileSync(file, PROGRAM);
  const reader = spawn(process.execPath, [file, redis().url], { stdio: ['ignore', 'inherit', 'inherit'] });
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
    const reader = startReader();
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
