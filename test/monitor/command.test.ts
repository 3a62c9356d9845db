import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../dev/server-process.ts';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { start, startMonitor } from './child.ts';

const folder = useCompiled();
const redis = useRedis({ fresh: true });
const monitor = (args: readonly string[], env?: NodeJS.ProcessEnv) => startMonitor(folder, args, env);
const PATIENCE = { timeoutMs: 20_000 };

/** A connection of the test. */
function connect(connectionName: string): Redis {
  const connection = new Redis(redis().url, { connectionName, retryStrategy: () => null });
  connection.on('error', () => {});
  onTestFinished(() => connection.disconnect());
  return connection;
}

/** Opens one connection after the other, until the test is over. */
function leak(connectionName: string, everyMs: number): void {
  const timer = setInterval(() => connect(connectionName), everyMs);
  onTestFinished(() => clearInterval(timer));
}

describe('scoped-pool monitor --once', () => {
  it('shows who is connected, over one connection that has a name', async () => {
    await Promise.all([connect('app'), connect('app')].map((connection) => connection.ping()));
    const received = await redis().connectionsReceived();
    const child = monitor([redis().url, '--once']);
    expect([await child.ended, child.stderr()]).toEqual([0, '']);
    const [title, clients, empty, head, ...rows] = child.stdout().trimEnd().split('\n');
    expect(title).toMatch(new RegExp(`^scoped-pool monitor {2}127\\.0\\.0\\.1:${redis().server.port} {2}redis [\\d.]+$`));
    expect([clients, empty]).toEqual([expect.stringMatching(/^clients 4\/10000 {2}blocked 0 {2}rejected 0$/), '']);
    expect(head).toMatch(/^name +conns +\+10s +\+2s +idle +oldest +blocked +sub +last command$/);
    expect(rows).toContainEqual(expect.stringMatching(/^app +2 +2 .* ping$/));
    expect(rows).toContainEqual(expect.stringMatching(/^sp:monitor:\S+ +1 +1 +1 .* client\|list$/));
    expect(await redis().connectionsReceived()).toBe(received + 1);
    await until(async () => (await redis().clients('sp:monitor')).length === 0);
  });

  it('prints one JSON object with --json', async () => {
    const child = monitor(['--once', '--json'], { REDIS_URL: redis().url });
    expect([await child.ended, child.stderr(), child.samples().length]).toEqual([0, '', 1]);
    expect(child.samples()[0]).toMatchObject({
      verdict: 'watching',
      opened: 0,
      maxclients: 10_000,
      server: `127.0.0.1:${redis().server.port}`,
    });
    expect(child.samples()[0]?.names).toContainEqual(expect.objectContaining({ name: 'observer', connections: 1 }));
  });
});

describe('scoped-pool monitor', () => {
  it('prints a line for each sample where there is no terminal, until it is ended', async () => {
    const child = monitor([redis().url, '--interval', '100']);
    await until(() => child.stdout().split('\n').length > 3, PATIENCE);
    child.process.kill('SIGTERM');
    expect([await child.ended, child.stderr(), child.stdout().includes('\x1b')]).toEqual([143, '', false]);
    expect(child.stdout()).toMatch(
      /^(?: +\d+ s {2}WATCHING {2}opened 0 \(0\.0\/s\) {2}clients \d+\/10000 {2}blocked \d {2}rejected \d+.*\n)+$/,
    );
  });

  it('ends when whoever reads it has gone', async () => {
    const line = `${process.execPath} ${join(folder, 'monitor/cli.js')} monitor ${redis().url} --interval 100`;
    const child = start('bash', ['-c', `${line} | head -n 1; echo "\${PIPESTATUS[0]}"`]);
    await child.ended;
    expect([child.stdout().split('\n')[1], child.stderr()]).toEqual(['141', '']);
  });

  it('does not end as if all were well when nothing could be written', async () => {
    const line = `${process.execPath} ${join(folder, 'monitor/cli.js')} monitor ${redis().url} --once`;
    const child = start('bash', ['-c', `${line} > /dev/full; echo "$?"`]);
    await child.ended;
    expect([child.stdout(), child.stderr()]).toEqual(['141\n', '']);
  });

  it('names who opens connections, and counts those that are gone before they are seen', { timeout: 60_000 }, async () => {
    const child = monitor([redis().url, '--json', '--interval', '500']);
    await until(() => child.samples().length > 0, PATIENCE);
    leak('leaky', 200);
    const timer = setInterval(() => {
      const brief = new Redis(redis().url);
      brief.on('error', () => {});
      brief.once('ready', () => brief.disconnect());
    }, 50);
    onTestFinished(() => clearInterval(timer));
    const last = await until(() => child.samples().find(({ verdict }) => verdict === 'growing'), PATIENCE);
    expect(last?.names).toMatchObject({ 0: { name: 'leaky' } });
    expect(Number(last?.unseenPerSecond)).toBeGreaterThan(0);
    expect(Number(last?.watchedMs)).toBeLessThanOrEqual(12_000);
  });
});

describe('scoped-pool monitor --expect-plateau', () => {
  it('ends with 0 when connections stand, however many were opened at the start', { timeout: 60_000 }, async () => {
    const child = monitor([redis().url, '--expect-plateau', '10', '--interval', '250']);
    await until(() => child.stdout() !== '', PATIENCE);
    for (let count = 0; count < 40; count++) connect('worker');
    expect([await child.ended, child.stderr()]).toEqual([0, '']);
    expect(child.stdout().trimEnd().split('\n').at(-1)).toMatch(/^ +10 s {2}PLATEAU {2}opened 40 /);
  });

  it('does not take for a plateau what it did not see, having stood still', { timeout: 60_000 }, async () => {
    leak('leaky', 500);
    const child = monitor([redis().url, '--expect-plateau', '10']);
    await until(() => child.stdout() !== '', PATIENCE);
    // Between two samples, so that no answer is late.
    child.process.kill('SIGSTOP');
    await sleep(11_000);
    child.process.kill('SIGCONT');
    expect(await child.ended).toBe(1);
    expect(child.stdout()).not.toContain('PLATEAU');
  });

  it('ends with 3 when it sees too little to tell, after twice the time', { timeout: 90_000 }, async () => {
    const child = monitor([redis().url, '--expect-plateau', '10']);
    await until(() => child.stdout() !== '', PATIENCE);
    const { process } = child;
    while (process.exitCode === null) {
      process.kill('SIGSTOP');
      await sleep(4_400);
      process.kill('SIGCONT');
      await sleep(200);
    }
    expect([await child.ended, child.stderr()]).toEqual([
      3,
      expect.stringMatching(/: too few answers came in 2\d s to tell\. See whether/),
    ]);
    expect(child.stdout()).not.toContain('PLATEAU');
  });

  it('ends with 1 and names who it is when connections grow', { timeout: 60_000 }, async () => {
    leak('leaky', 500);
    const child = monitor([redis().url, '--expect-plateau', '10', '--interval', '250']);
    expect(await child.ended).toBe(1);
    expect(child.stderr()).toMatch(
      /^scoped-pool monitor: GROWING \+\d+ in 10 s; most: leaky \d+ \(\+\d+\); for lines of code: node --import \S+ app\.js\n$/,
    );
  });
});

describe('scoped-pool monitor, when something is wrong,', () => {
  it.each([
    [['--foo'], 'did you mean'],
    [['--interval', '5'], '--interval must be milliseconds from 100 to 60000; got "5"'],
    [['http://a'], 'url must be a URL like redis://host:6379'],
  ])('ends with 2: %j', async (args, said) => {
    const child = monitor(args);
    expect([await child.ended, child.stdout()]).toEqual([2, '']);
    expect(child.stderr()).toMatch(/^scoped-pool monitor: called wrongly: .*\n$/);
    if (said !== 'did you mean') expect(child.stderr()).toContain(said);
  });

  it('helps', async () => {
    const child = monitor(['--help']);
    expect([await child.ended, child.stdout().split('\n')[0]]).toEqual([0, expect.stringMatching(/^usage: scoped-pool monitor \[url\]/)]);
    const other = start(process.execPath, [join(folder, 'monitor/cli.js'), 'moniter']);
    expect([await other.ended, other.stderr()]).toEqual([2, expect.stringContaining('the command must be "monitor"')]);
  });

  it.each(['--help', '-h', 'help'])('tells its usage without a command, too: %s', async (word) => {
    const child = start(process.execPath, [join(folder, 'monitor/cli.js'), word]);
    expect([await child.ended, child.stdout(), child.stderr()]).toEqual([0, expect.stringMatching(/^usage: scoped-pool monitor /), '']);
  });

  it('ends with 3 when nothing listens there, or the host is unknown', async () => {
    const nobody = monitor([`redis://ann:hunter2@127.0.0.1:${await freePort()}`]);
    expect([await nobody.ended, nobody.stdout()]).toEqual([3, '']);
    expect(nobody.stderr()).toMatch(
      /^scoped-pool monitor: Redis at 127\.0\.0\.1:\d+: nothing listens there\. Start Redis.*ECONNREFUSED.*\n$/,
    );
    const unknown = monitor(['redis://nobody.invalid']);
    expect([await unknown.ended, unknown.stderr()]).toEqual([3, expect.stringMatching(/its host is not known\. Correct the name/)]);
  });

  it('ends as it would when nobody reads what is wrong: 1 says that connections grow', async () => {
    const unreachable = monitor([`redis://127.0.0.1:${await freePort()}`, '--once']);
    const called = monitor(['--foo']);
    for (const { process } of [unreachable, called]) process.stderr?.destroy();
    expect([await unreachable.ended, await called.ended]).toEqual([3, 2]);
  });

  it('ends with 3 when the server refuses who asks, or what', async () => {
    await redis().observer.acl('SETUSER', 'blind', 'reset', 'on', '>hunter2', '+ping', '+info');
    await redis().observer.acl('SETUSER', 'ann', 'reset', 'on', '>secret', '+@all');
    const { host, port } = redis().server;
    const wrong = monitor([`redis://ann:hunter2@${host}:${port}`]);
    expect([await wrong.ended, wrong.stderr()]).toEqual([
      3,
      expect.stringMatching(/it refuses user or password\. Give those that it knows/),
    ]);
    const blind = monitor([`redis://blind:hunter2@${host}:${port}`]);
    expect([await blind.ended, blind.stderr()]).toEqual([3, expect.stringMatching(/its user may not look\. Allow it: ACL SETUSER/)]);
    expect(wrong.stderr() + blind.stderr()).not.toContain('hunter2');
  });

  it('is let in by a user who has the rights that it names', async () => {
    await redis().observer.acl('SETUSER', 'eve', 'reset', 'on', '>pw', '+client|list', '+client|setname', '+info', '+ping');
    const { host, port } = redis().server;
    const child = monitor([`redis://eve:pw@${host}:${port}`, '--once']);
    expect([await child.ended, child.stderr()]).toEqual([0, '']);
  });

  it('ends with 3 where TLS is spoken on one side only', { timeout: 60_000 }, async () => {
    const child = monitor([redis().url.replace('redis:', 'rediss:')]);
    expect([await child.ended, child.stderr()]).toEqual([3, expect.stringMatching(/redis:\/\/ instead of rediss:\/\//)]);
    // What a server with TLS does with a greeting in plain text.
    const server = createServer((socket) => socket.once('data', () => socket.destroy())).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    const port = await until(() => (server.address() as { port: number } | null)?.port);
    const plain = monitor([`redis://127.0.0.1:${port}`]);
    expect([await plain.ended, plain.stderr()]).toEqual([3, expect.stringMatching(/if it speaks TLS, write rediss:\/\//)]);
  });

  it('says so when ioredis is missing', async () => {
    const bare = mkdtempSync(join(tmpdir(), 'scoped-pool-bare-'));
    onTestFinished(() => rmSync(bare, { recursive: true }));
    for (const name of readdirSync(folder)) {
      if (name !== 'node_modules' && statSync(join(folder, name)).isDirectory())
        cpSync(join(folder, name), join(bare, name), { recursive: true });
    }
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.js'))) cpSync(join(folder, name), join(bare, name));
    writeFileSync(join(bare, 'package.json'), '{"type":"module"}');
    const child = start(process.execPath, [join(bare, 'monitor/cli.js'), 'monitor']);
    expect([await child.ended, child.stderr()]).toEqual([3, expect.stringMatching(/ioredis is not installed.*npm install ioredis\n$/)]);
  });
});

describe('a server that goes away', () => {
  const other = useRedis({ fresh: true });

  it('is watched on after its restart, counted from anew', { timeout: 60_000 }, async () => {
    const child = monitor([other().url, '--json', '--interval', '100']);
    await until(() => Number(child.samples().at(-1)?.watchedMs) > 500, PATIENCE);
    await other().server.restart();
    await until(() => child.stderr().includes('the server was restarted'), PATIENCE);
    const seen = child.samples().length;
    await until(() => child.samples().length > seen + 3, PATIENCE);
    const watched = child.samples().map(({ watchedMs }) => Number(watchedMs));
    expect(watched.filter((ms) => ms === 0)).toHaveLength(2);
    expect(child.stderr()).toMatch(
      /^scoped-pool monitor: connection lost, trying again; Redis at .*\n(?:.*trying again.*\n)*scoped-pool monitor: connected again: the server was restarted; counts begin anew\n$/,
    );
    child.process.kill('SIGINT');
    expect(await child.ended).toBe(130);
  });

  it('ends a watch for a plateau with 3', { timeout: 60_000 }, async () => {
    const child = monitor([other().url, '--expect-plateau', '60']);
    await until(() => child.stdout() !== '', PATIENCE);
    await other().server.kill('SIGKILL');
    expect([await child.ended, child.stderr()]).toEqual([
      3,
      expect.stringMatching(/^scoped-pool monitor: the connection was lost while watching: Redis at/),
    ]);
    await other().server.restart();
  });

  it('is given up for lost when it does not answer, and found again when it does', { timeout: 60_000 }, async () => {
    const child = monitor([other().url, '--interval', '100']);
    await until(() => child.stdout() !== '', PATIENCE);
    await other().server.kill('SIGSTOP');
    onTestFinished(() => other().server.kill('SIGCONT'));
    await until(() => child.stderr().includes('it has not answered for 5 s'), PATIENCE);
    await other().server.kill('SIGCONT');
    await until(() => child.stderr().includes('connected again: the same server; counts begin anew'), PATIENCE);
  });
});
