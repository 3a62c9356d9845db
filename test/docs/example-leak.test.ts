import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findBinary } from '../../dev/server-process.ts';
import { type Child, start, startMonitor } from '../monitor/child.ts';
import { useExamples } from '../support/example.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const script = findBinary(['script']);
const canScript = script !== undefined && execFileSync(script, ['--version'], { encoding: 'utf8' }).includes('util-linux');

const PATIENCE = { timeoutMs: 30_000 };
const SOON_MS = 10_000;
const build = useExamples();
const folder = join(build, 'src');
const redis = useRedis({ fresh: true });

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal is sent
const STYLES = /\x1b\[(?:\d+m|K|J)/g;

/** Runs examples/leak.ts as `npm run example:leak` does. @returns the place where it forgets a lease. */
async function leak(): Promise<{ readonly child: Child; readonly place: string }> {
  const file = join(build, 'examples/leak.js');
  const lines = readFileSync(file, 'utf8').split('\n');
  const line = lines.findIndex((text) => text.includes('await mails.acquire()')) + 1;
  expect(line).toBeGreaterThan(0);
  const child = start(process.execPath, [join(build, 'dev/example-leak.js')], { REDIS_URL: redis().url });
  await until(async () => (await redis().clients('sp:leak-example:mails')).length > 1, PATIENCE);
  return { child, place: `${file}:${line}` };
}

async function end({ process: running, ended, stderr }: Child): Promise<void> {
  running.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(stderr()).toContain('ERR_LEASE_LEAKED');
}

describe('examples/leak.ts', () => {
  it('is found by its name and its line, as lines and as JSON', { timeout: 90_000 }, async () => {
    const { child, place } = await leak();
    const json = startMonitor(folder, [redis().url, '--json', '--interval', '500']);
    const plain = startMonitor(folder, [redis().url, '--interval', '500']);
    const judged = startMonitor(folder, [redis().url, '--expect-plateau', '10', '--interval', '500']);

    const found = await until(() => json.samples().find(({ verdict }) => verdict === 'growing'), PATIENCE);
    expect(Number(found?.watchedMs)).toBeLessThanOrEqual(SOON_MS);
    expect(found?.names).toMatchObject({ 0: { name: 'sp:leak-example:mails' } });
    expect(found?.names).toContainEqual(expect.objectContaining({ name: 'sp:leak-example:visits', connections: 1 }));
    expect(found?.places).toMatchObject({ 0: { pool: 'mails', scope: 'mail-service', pid: child.process.pid } });
    const [worst] = (found?.places ?? []) as readonly Readonly<Record<string, unknown>>[];
    expect(worst?.site).toMatch(new RegExp(`^file://${place}:\\d+$`));
    expect(worst?.stack).toContainEqual(expect.stringContaining('sendMail'));
    expect(Number(worst?.grown)).toBeGreaterThan(5);

    const held = `most held: \\d+ leases \\(\\+\\d+\\) of mails at ${place}, oldest \\d+s(?:, \\d waiting)?`;
    const line = new RegExp(`^ +(\\d+) s {2}GROWING .* {2}most: sp:leak-example:mails \\d+ \\(\\+\\d+\\) {2}${held}$`, 'm');
    const said = await until(() => line.exec(plain.stdout()), PATIENCE);
    expect(Number(said?.[1])).toBeLessThanOrEqual(SOON_MS / 1_000);

    expect(await judged.ended).toBe(1);
    expect(judged.stderr()).toMatch(
      new RegExp(`^scoped-pool monitor: GROWING \\+\\d+ in 10 s; most: sp:leak-example:mails \\d+ \\(\\+\\d+\\); ${held}\n$`),
    );
    await end(child);
  });

  it('is shown as it is at one moment, with the calls that led there', { timeout: 60_000 }, async () => {
    const { child, place } = await leak();
    const once = startMonitor(folder, [redis().url, '--once']);
    expect([await once.ended, once.stderr()]).toEqual([0, '']);
    expect(once.stdout()).toContain(`\n\nheld by `);
    expect(once.stdout()).toMatch(/^mails +mail-service +\d+ +\d+\/1000 +\d +\d +0 +0 {2}up$/m);
    expect(once.stdout()).toMatch(new RegExp(`^\\d+ leases? .*of mails at ${place}, .*, process ${child.process.pid}$`, 'm'));
    expect(once.stdout()).toMatch(new RegExp(`^ {4}sendMail \\(${place}\\)$`, 'm'));
    await end(child);
  });

  it.skipIf(!canScript)('is found in a terminal', { timeout: 90_000 }, async () => {
    const { child, place } = await leak();
    const monitor = `${process.execPath} ${join(folder, 'monitor/cli.js')} monitor ${redis().url}`;
    const terminal = start(script ?? '', ['-qefc', `stty cols 140 rows 40; ${monitor}`, '/dev/null'], { TERM: 'xterm-256color' });
    // The newest picture that has come as a whole.
    const whole = () =>
      terminal
        .stdout()
        .split('\x1b[H')
        .findLast((picture) => picture.includes('\x1b[J')) ?? '';
    const screen = () => whole().replaceAll(STYLES, '').split(/\r+\n/);
    const rowBelow = (head: string) => screen()[screen().findIndex((row) => row.startsWith(head)) + 1] ?? '';
    await until(() => screen()[1]?.startsWith('GROWING +'), PATIENCE);
    expect(rowBelow('name ')).toMatch(/^sp:leak-example:mails +\d+ +\d+ /);
    const [, ending] = /…?(\S+) +\d+ +\d+ +\d+s +\d +0 {2}mails +mail-service$/.exec(rowBelow('held by ')) ?? [];
    expect(ending?.endsWith(place.slice(place.lastIndexOf('/')))).toBe(true);
    expect(place.endsWith(ending ?? '-')).toBe(true);
    terminal.process.stdin?.write('l');
    await until(() => screen().some((row) => row === `    sendMail (${place})`), PATIENCE);
    terminal.process.stdin?.write('q');
    expect(await terminal.ended).toBe(0);
    await end(child);
  });
});
