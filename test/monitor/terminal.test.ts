import { execFileSync } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { canScript, ENTER, LEAVE, linesOf, onTerminal as startOn } from './on-terminal.ts';

const folder = useCompiled();
const redis = useRedis({ fresh: true });
const PATIENCE = { timeoutMs: 20_000 };

const onTerminal = (columns: number, rows: number, conditions: Partial<Parameters<typeof startOn>[2]> = {}) =>
  startOn(columns, rows, { folder, url: redis().url, ...conditions });

describe.skipIf(!canScript)('scoped-pool monitor in a terminal', () => {
  it('draws in place, obeys keys, and gives the terminal back as it was', { timeout: 60_000 }, async () => {
    const { child, screen, press, read } = await onTerminal(100, 30);
    expect(child.stdout().split(ENTER)).toHaveLength(2);
    expect(linesOf(screen())[0]).toMatch(/^scoped-pool monitor {2}127\.0\.0\.1:\d+ {2}redis/);
    press('s');
    await until(() => screen().includes('s sorts (connections)'), PATIENCE);
    // A key of the number pad, which is not «q».
    press('\x1bOq');
    press('p');
    await until(() => screen().includes('PAUSED  '), PATIENCE);
    const paused = linesOf(screen()).slice(1);
    const drawn = child.stdout().length;
    await until(() => child.stdout().length > drawn + 1_000, PATIENCE);
    expect(linesOf(screen()).slice(1)).toEqual(paused);
    press('p');
    await until(() => screen().includes('p pauses  s sorts (connections)'), PATIENCE);
    press('q');
    expect(await child.ended).toBe(0);
    expect(child.stdout().split(LEAVE).at(-1)?.trim()).toBe('left with 0');
    expect(read('after')).toBe(read('before'));
  });

  it('draws anew when the terminal gets another size', { timeout: 60_000 }, async () => {
    // No sample comes meanwhile, with which it would be drawn anew.
    const { screen, tty } = await onTerminal(100, 30, { intervalMs: 60_000 });
    expect(linesOf(screen()).some((line) => line.startsWith('   rate'))).toBe(true);
    execFileSync('stty', ['-F', tty, 'cols', '50', 'rows', '12']);
    await until(() => linesOf(screen()).every((line) => line.length <= 50), PATIENCE);
    const lines = linesOf(screen());
    expect([lines.length <= 12, lines.some((line) => line.startsWith('   rate'))]).toEqual([true, false]);
  });

  it.each([
    ['\x03', 0],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ])('gives it back, too, when %j comes', { timeout: 60_000 }, async (what, code) => {
    const { child, press, read, pid } = await onTerminal(80, 24);
    if (what.startsWith('SIG')) process.kill(pid, what);
    else press(what);
    await child.ended;
    expect(child.stdout().split(LEAVE).at(-1)?.trim()).toBe(`left with ${code}`);
    expect(read('after')).toBe(read('before'));
  });

  it('says that the connection is lost, and goes on when the server is back', { timeout: 60_000 }, async () => {
    const { screen, press, child } = await onTerminal(120, 30);
    await redis().server.kill('SIGKILL');
    await until(() => screen().includes('connection lost, trying again; Redis at'), PATIENCE);
    await redis().server.restart();
    await until(() => screen().includes('connected again: the server was restarted'), PATIENCE);
    await until(() => !screen().includes('connected again'), PATIENCE);
    await redis().server.kill('SIGKILL');
    onTestFinished(() => redis().server.restart());
    await until(() => screen().includes('connection lost'), PATIENCE);
    press('q');
    expect(await child.ended).toBe(0);
  });

  it('gives it back, too, when something throws that nobody catches, and shows that', { timeout: 60_000 }, async () => {
    const bomb = 'data:text/javascript,process.once(`SIGUSR2`,()=>{throw(new(Error)(`boom`))})';
    const { child, pid, read } = await onTerminal(80, 24, { env: { NODE_OPTIONS: `--import=${bomb}` } });
    process.kill(pid, 'SIGUSR2');
    expect(await child.ended).not.toBe(0);
    expect(child.stdout().split(LEAVE)).toEqual([expect.stringContaining(ENTER), expect.stringContaining('boom')]);
    expect(read('after')).toBe(read('before'));
  });

  it.each(['SIGTSTP', '\x1a'])('leaves the terminal to others while it is stopped: %j', { timeout: 60_000 }, async (what) => {
    const { child, pid, press } = await onTerminal(80, 24);
    if (what === 'SIGTSTP') process.kill(pid, what);
    else press(what);
    await until(() => child.stdout().split(ENTER).length > 2, PATIENCE);
    press('q');
    expect(await child.ended).toBe(0);
    const left = child.stdout().split(LEAVE);
    expect(left).toHaveLength(3);
    expect(left[1]?.split(ENTER)[0]).toContain('left with 147');
  });
});
