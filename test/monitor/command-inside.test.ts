import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../dev/server-process.ts';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { SOCKETS, start, startMonitor } from './child.ts';

const folder = useCompiled();
const redis = useRedis({ fresh: true });
const monitor = (...args: readonly string[]) => startMonitor(folder, [redis().url, ...args]);
const PATIENCE = { timeoutMs: 20_000 };

/** A process that has taken more leases than are sampled before anybody looks, and then takes one each 100 ms. */
async function holder() {
  const file = join(SOCKETS, 'holder.mjs');
  writeFileSync(
    file,
    `import { definePool, withRoot } from '${join(folder, 'index.js')}';
import { serveInspection } from '${join(folder, 'inspect/index.js')}';
const pool = definePool('things', { create: async () => ({}), max: 10_000 });
await serveInspection(process.argv[2] ? { port: Number(process.argv[2]) } : {});
await withRoot(async () => {
  for (let count = 0; count < 400; count++) await pool.acquire();
  setInterval(() => pool.acquire(), 100);
  console.log('holding');
  await new Promise(() => {});
}, { name: 'redis://ann:hunter2@host \\x1b[2J' });`,
  );
  return async (...args: readonly string[]) => {
    const child = start(process.execPath, [file, ...args]);
    await until(() => child.stdout() === 'holding\n', PATIENCE);
    return child;
  };
}

function expectHarmless(text: string): void {
  for (const bad of ['hunter2', '\x1b', '\\u001b']) expect(text).not.toContain(bad);
}

type Rows = readonly Readonly<Record<string, unknown>>[];

describe('scoped-pool monitor, where processes say what they hold,', () => {
  it('names the line that goes on taking, whatever was taken before it looked', { timeout: 60_000 }, async () => {
    const run = await holder();
    const child = await run();
    const json = monitor('--json', '--interval', '250');
    const plain = monitor('--interval', '250');
    const site = new RegExp(`^file://${join(SOCKETS, 'holder.mjs')}:7:\\d+$`);
    const placesOf = (sample: Readonly<Record<string, unknown>> | undefined) => (sample?.places ?? []) as Rows;
    const rising = () => placesOf(json.samples().at(-1)).find((row) => site.test(String(row.site)) && Number(row.leases) > 5);
    const row = await until(rising, PATIENCE);
    expect(row).toMatchObject({ pool: 'things', pid: child.process.pid, scope: 'redis://***@host ?[2J', waiting: 0 });
    expect(placesOf(json.samples().at(-1))).toContainEqual(expect.objectContaining({ site: null, pool: 'things', stack: [] }));
    const last = json.samples().at(-1);
    expect(last).toMatchObject({ processes: [{ pid: child.process.pid, thread: 0 }], pools: [{ max: 10_000, error: null }], failures: [] });
    // What was taken at the start counts as new for 10 s.
    await until(() => /most held: \d+ leases \(\+\d+\) of things at \S+holder\.mjs:7, oldest \d+s$/m.test(plain.stdout()), PATIENCE);
    expectHarmless(json.stdout() + plain.stdout());

    child.process.kill('SIGSTOP');
    const frozen = await until(() => json.samples().find(({ failures }) => Number((failures as Rows | undefined)?.length) > 0), PATIENCE);
    const seen = json.samples().length;
    await until(() => json.samples().length > seen + 5, PATIENCE);
    expect(frozen?.failures).toMatchObject([{ reason: 'it does not answer in time; shown is what it said last' }]);
    expect(placesOf(json.samples().at(-1)).length).toBeGreaterThan(0);
    child.process.kill('SIGKILL');
    await until(() => ((json.samples().at(-1)?.processes ?? [0]) as Rows).length === 0, PATIENCE);
    expect(json.samples().at(-1)).toMatchObject({ pools: [], places: [], failures: [] });
  });

  it('names the line that leaks the leases of jobs, each of which is revoked, and fails a pipeline with it', {
    timeout: 60_000,
  }, async () => {
    const file = join(SOCKETS, 'forgetful.mjs');
    writeFileSync(
      file,
      `import { withRoot, withScope } from '${join(folder, 'index.js')}';
import { defineRedisPool } from '${join(folder, 'redis/index.js')}';
import '${join(folder, 'inspect/register.js')}';
const pool = defineRedisPool('mails', { url: '${redis().url}' });
const take = () => pool.acquire();
const forget = () => withScope(() => take().then(() => {}), { name: 'job' });
const remember = () => withScope(() => take().then((lease) => lease.release()));
await withRoot(async () => {
  await remember();
  setInterval(forget, 200);
  setInterval(remember, 1_000);
  await new Promise(() => {});
}, { name: 'app', onError() {}, onSuppressed() {} });`,
    );
    start(process.execPath, [file]);
    const child = monitor('--expect-plateau', '10', '--interval', '250');
    expect(await child.ended).toBe(1);
    expect(child.stderr()).toMatch(/: GROWING .*; most leaked: \d\d \(\+\d\d\) of mails at \S+forgetful\.mjs:5/);
    const json = monitor('--json', '--interval', '250');
    const [place] = (await until(() => json.samples().at(-1)?.places as Rows | undefined, PATIENCE)) ?? [];
    expect(place).toMatchObject({ pool: 'mails', site: expect.stringContaining('forgetful.mjs:5'), leaked: expect.any(Number) });
    // Of the two who call the line the one that forgets.
    expect(JSON.stringify(place?.stack)).toContain('forgetful.mjs:6:');
  });

  it('names the line that makes a client for each piece of work, in a program that uses no pool', { timeout: 60_000 }, async () => {
    const file = join(SOCKETS, 'raw.mjs');
    writeFileSync(
      file,
      `import { Redis } from '${import.meta.resolve('ioredis')}';
setInterval(() => {
  new Redis(process.argv[2]);
}, 300);`,
    );
    start(process.execPath, ['--import', `file://${join(folder, 'inspect/register.js')}`, file, redis().url]);
    const child = monitor('--expect-plateau', '12', '--interval', '500');
    expect(await child.ended).toBe(1);
    expect(child.stderr()).toMatch(
      /GROWING \+\d+ in 10 s; most: \(no name\) \d+ \(\+\d+\); most opened: \d+ \(\+\d+\) to 127\.0\.0\.1:\d+ at \S+raw\.mjs:3\n/,
    );
  });

  it('asks those that are named, and says once of each that does not answer why', { timeout: 60_000 }, async () => {
    const [port, other] = [await freePort(), await freePort()];
    const run = await holder();
    const child = await run(`${port}`);
    const [address, nobody] = [`http://127.0.0.1:${port}`, `http://localhost:${other}/`];
    const plain = monitor('--process', address, '--process', nobody, '--interval', '100');
    await until(() => plain.stdout().split('\n').length > 5, PATIENCE);
    expect(plain.stderr()).toMatch(new RegExp(`^scoped-pool monitor: ${nobody}: .*ECONNREFUSED.*\n$`));
    const once = monitor('--process', address, '--once');
    expect([await once.ended, once.stderr()]).toEqual([0, '']);
    expect(once.stdout()).toMatch(new RegExp(`^\\d+ leases .* at \\S+holder\\.mjs:6, .*, process ${child.process.pid}$`, 'm'));
    expect(once.stdout()).toMatch(/^things +redis:\/\S+ \?\[2J +\d+ +\d+\/10000 /m);
    expectHarmless(once.stdout());
    const none = monitor('--once');
    expect([await none.ended, none.stderr(), none.stdout().includes('held by')]).toEqual([0, '', false]);
  });

  it('goes on beside one that answers with what it likes', { timeout: 60_000 }, async () => {
    const sockets = join(SOCKETS, `scoped-pool-${process.getuid?.()}`);
    mkdirSync(sockets, { recursive: true, mode: 0o700 });
    const server = createServer((_, response) => response.end('{"format":1,"roots":{"\x1b[2J":"\\u001b[2J"}}'));
    server.listen(join(sockets, '\x1b[2J.sock'));
    onTestFinished(() => void server.close());
    await until(() => server.listening);
    const once = monitor('--once');
    expect(await once.ended).toBe(0);
    expect(once.stdout()).toMatch(/^scoped-pool monitor /);
    expect(once.stderr()).toMatch(/^scoped-pool monitor: \S+\?\[2J\.sock: it answers with something else .*\n$/);
    expectHarmless(once.stdout() + once.stderr());
  });

  it('waits for nobody when it ends', { timeout: 60_000 }, async () => {
    let asked = 0;
    const server = createServer(() => asked++).listen(0, '127.0.0.1');
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = await until(() => server.address());
    const once = monitor('--once', '--process', `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`);
    await until(() => once.stdout() !== '', PATIENCE);
    // Sooner than the process would be given up, which is after 5 s.
    await until(() => once.process.exitCode === 0, { timeoutMs: 3_000 });
    expect([asked, once.stderr()]).toEqual([1, expect.stringContaining('it does not answer in time')]);
  });
});
