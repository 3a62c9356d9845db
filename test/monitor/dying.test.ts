import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../dev/server-process.ts';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';
import { answering, listen } from './fake-server.ts';
import { canScript, ENTER, LEAVE, onTerminal, startOnTerminal } from './on-terminal.ts';

const PATIENCE = { timeoutMs: 20_000 };
const NOT_IN_TIME = 'it has not answered for 5 s\n';
const folder = useCompiled();

describe('scoped-pool monitor of a server that', { timeout: 60_000 }, () => {
  const frozen = useRedis({ fresh: true });
  const lost = (what: string) => new RegExp(`^scoped-pool monitor: the connection was lost while watching: Redis at \\S+: ${what}`);

  it('stops answering ends with 3, wherever it stops', async () => {
    // Each waits for the limits of the monitor, 5 s; so they wait together.
    const unanswered = (list: string | undefined) =>
      listen(answering(([name, subcommand]) => (`${name} ${subcommand}` === 'client LIST' ? list : '+OK\r\n')));
    const [silent, afterGreeting, amidst] = await Promise.all([listen(() => {}), unanswered(undefined), unanswered('$5000\r\nid=1')]);
    const endOf = async (port: number, ...args: readonly string[]) => {
      const child = startMonitor(folder, [`redis://127.0.0.1:${port}`, ...args]);
      return [await child.ended, child.stdout(), child.stderr()];
    };
    const ends = [endOf(silent, '--once'), endOf(silent, '--expect-plateau', '10'), endOf(silent, '--json')];
    const later = [endOf(afterGreeting, '--once'), endOf(amidst, '--once')];
    for (const end of ends)
      expect(await end).toEqual([3, '', expect.stringContaining(': it does not answer. See whether host and port are right')]);
    for (const end of later) expect(await end).toEqual([3, '', expect.stringContaining(NOT_IN_TIME)]);
  });

  it('is frozen, ends a watch for a plateau with 3, and another one goes on when it is thawed', async () => {
    const expecting = startMonitor(folder, [frozen().url, '--expect-plateau', '60', '--interval', '100']);
    const watching = startMonitor(folder, [frozen().url, '--json', '--interval', '100']);
    await until(() => expecting.stdout() !== '' && watching.samples().length > 0, PATIENCE);
    await frozen().server.kill('SIGSTOP');
    onTestFinished(() => frozen().server.kill('SIGCONT'));
    const once = startMonitor(folder, [frozen().url, '--once']);
    expect([await expecting.ended, expecting.stderr()]).toEqual([3, expect.stringMatching(lost(NOT_IN_TIME))]);
    expect([await once.ended, once.stderr()]).toEqual([3, expect.stringContaining('it does not answer.')]);
    const seen = watching.samples().length;
    await frozen().server.kill('SIGCONT');
    await until(() => watching.samples().length > seen + 3, PATIENCE);
    expect(watching.stderr()).toMatch(
      /trying again; .*not answered for 5 s\n(?:.*trying again.*\n)*.*connected again: the same server; counts begin anew\n$/,
    );
  });
});

describe('scoped-pool monitor whose connection is cut', () => {
  const redis = useRedis({ fresh: true });
  const cut = () => redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

  it('ends a watch for a plateau with 3', async () => {
    const child = startMonitor(folder, [redis().url, '--expect-plateau', '60', '--interval', '100']);
    await until(() => child.stdout() !== '', PATIENCE);
    await cut();
    const said = /^scoped-pool monitor: the connection was lost while watching: Redis at \S+: it hung up\. See its log.*\n$/;
    expect([await child.ended, child.stderr()]).toEqual([3, expect.stringMatching(said)]);
    expect(child.stderr()).not.toContain('rediss');
  });

  it('connects again as often as it must, and nothing heaps up', { timeout: 60_000 }, async () => {
    const child = startMonitor(folder, [redis().url, '--json', '--interval', '100']);
    for (let times = 1; times <= 25; times++) {
      const connections = () => child.samples().filter(({ watchedMs }) => watchedMs === 0).length;
      await until(() => connections() === times, PATIENCE);
      await cut();
    }
    expect(child.stderr()).not.toMatch(/warning/i);
    child.process.kill('SIGTERM');
    expect(await child.ended).toBe(143);
  });
});

describe.skipIf(!canScript)('scoped-pool monitor in a terminal', { timeout: 60_000 }, () => {
  const redis = useRedis({ fresh: true });

  it('leaves the terminal alone when there is nothing to show in it', async () => {
    const { child, read } = startOnTerminal(100, 30, { folder, url: `redis://127.0.0.1:${await freePort()}` });
    expect(await child.ended).toBe(3);
    expect(child.stdout()).not.toContain(ENTER);
    expect(child.stdout()).toMatch(/^scoped-pool monitor: Redis at \S+: nothing listens there\..*\r\nleft with 3\r\n$/);
    expect(read('after')).toBe(read('before'));
  });

  it('shows that a server is frozen, and thawed; quits while it is frozen, and gives the terminal back', async () => {
    const { child, screen, press, read } = await onTerminal(160, 30, { folder, url: redis().url });
    await redis().server.kill('SIGSTOP');
    onTestFinished(() => redis().server.kill('SIGCONT'));
    await until(() => screen().includes('connection lost, trying again; '), PATIENCE);
    press('p');
    await until(() => screen().includes('PAUSED  '), PATIENCE);
    press('p');
    await redis().server.kill('SIGCONT');
    await until(() => screen().includes('connected again: the same server'), PATIENCE);
    await redis().server.kill('SIGSTOP');
    press('q');
    expect(await child.ended).toBe(0);
    expect(child.stdout().split(LEAVE).at(-1)?.trim()).toBe('left with 0');
    expect(read('after')).toBe(read('before'));
  });

  it('gives the terminal back before it says that it is refused from now on', async () => {
    const { child, read } = await onTerminal(100, 30, { folder, url: redis().url });
    await redis().observer.config('SET', 'requirepass', 'hunter2');
    onTestFinished(async () => void (await redis().observer.config('SET', 'requirepass', '')));
    await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    expect(await child.ended).toBe(3);
    const [shown, said] = child.stdout().split(LEAVE);
    expect(shown).toContain(ENTER);
    expect(said).toMatch(
      /^scoped-pool monitor: the connection was lost while watching: Redis at \S+: it refuses user or password\..*\r\nleft with 3\r\n$/,
    );
    expect(read('after')).toBe(read('before'));
  });
});
