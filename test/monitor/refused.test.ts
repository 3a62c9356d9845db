import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startRedis } from '../../dev/redis-server.ts';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';
import { answering, listen, unknownCommand } from './fake-server.ts';
import { eachVersion } from './versions.ts';

const PATIENCE = { timeoutMs: 20_000 };
const versions = eachVersion(useCompiled());
/** With characters that a URL holds only when they are encoded. */
const PASSWORD = 'hunter2 %/:@#?';
const ENCODED = encodeURIComponent(PASSWORD);

describe.each(versions)('scoped-pool monitor with %s', (version, folder) => {
  const redis = useRedis({ fresh: true });

  const isNewest = version === 'ioredis 6';

  /** What it says, which must hold no secret of a URL. */
  async function onceWith(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const run = startMonitor(folder, [...args, '--once'], env);
    const said = { code: await run.ended, errors: run.stderr(), shown: run.stdout() };
    expect(JSON.stringify(said)).not.toMatch(/hunter2|eve-\d/);
    return said;
  }
  const once = (url: string, ...args: readonly string[]) => onceWith([url, ...args]);
  const onRedis = (credentials: string) => `redis://${credentials}${redis().server.host}:${redis().server.port}`;
  const oneLine = (what: string) => expect.stringMatching(new RegExp(`^scoped-pool monitor: Redis at 127\\.0\\.0\\.1:\\d+: ${what}.*\\n$`));

  it('speaks through that version', async () => {
    const name = version === 'ioredis 5' ? 'ioredis-5' : 'ioredis';
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../node_modules', name, 'package.json'), 'utf8'));
    const heard: string[] = [];
    const port = await listen(
      answering((command) => {
        heard.push(command.join(' '));
        return unknownCommand(command);
      }),
    );
    await once(`redis://127.0.0.1:${port}`);
    expect(heard).toContain(`client SETINFO LIB-VER ${manifest.version}`);
  });

  it.each([
    ['nothing', ''],
    ['a password that is wrong', ':hunter2-no@'],
    ['a user that is not there', `eve-1:${ENCODED}@`],
    ['a user without a password', 'default@'],
  ])('is told by a server with a password that it refuses %s', async (_, credentials) => {
    await redis().observer.config('SET', 'requirepass', PASSWORD);
    const { code, errors, shown } = await once(onRedis(credentials));
    expect([code, shown, errors]).toEqual([
      3,
      '',
      oneLine('it refuses user or password\\. Give those that it knows: redis://user:password@'),
    ]);
  });

  it.each([
    ['a password', `:${ENCODED}@`, ''],
    ['a user and a password', `default:${ENCODED}@`, '/2'],
    ['a password in the query', '', `?password=${ENCODED}`],
  ])('is let in with %s, and shows none', async (_, credentials, rest) => {
    await redis().observer.config('SET', 'requirepass', PASSWORD);
    const plain = await once(`${onRedis(credentials)}${rest}`);
    expect([plain.code, plain.errors, plain.shown]).toEqual([0, '', expect.stringMatching(/\nsp:monitor:/)]);
    const { code, errors, shown } = await once(`${onRedis(credentials)}${rest}`, '--json');
    expect([code, errors, JSON.parse(shown).server]).toEqual([0, '', `127.0.0.1:${redis().server.port}`]);
  });

  it('names the server that it watches where the query of the URL says which', async () => {
    await redis().observer.config('SET', 'requirepass', '');
    const { port } = redis().server;
    for (const url of [`redis://localhost?port=${port}`, `redis:///?host=localhost&port=${port}`])
      expect(JSON.parse((await once(url, '--json')).shown).server).toBe(`localhost:${port}`);
    expect((await once('redis://127.0.0.1?path=/nobody.sock')).errors).toContain('Redis at /nobody.sock: connect ENOENT');
  });

  it('takes the URL of the environment, and shows as little of it', async () => {
    await redis().observer.config('SET', 'requirepass', PASSWORD);
    const refused = await onceWith([], { REDIS_URL: onRedis(':hunter2-no@') });
    expect([refused.code, refused.errors]).toEqual([3, oneLine('it refuses user or password')]);
    expect(await onceWith([], { REDIS_URL: onRedis(`:${ENCODED}@`) })).toMatchObject({ code: 0, errors: '' });
    const broken = await onceWith([], { REDIS_URL: 'redis://:hunter2@nowhere:port' });
    expect([broken.code, broken.errors]).toEqual([2, expect.stringContaining('REDIS_URL')]);
  });

  it.each([
    ['may nothing', [], 3],
    ['may not ask for figures', ['+ping', '+client|list', '+client|setname'], 3],
    ['may not list clients', ['+ping', '+info', '+client|setname'], 3],
    ['may not give itself a name', ['+ping', '+info', '+client|list'], 0],
  ] as const)('says what a user may do who %s', async (_, rights, expected) => {
    await redis().observer.acl('SETUSER', 'eve-2', 'reset', 'on', `>${PASSWORD}`, ...rights);
    const { code, errors, shown } = await once(onRedis(`eve-2:${ENCODED}@`));
    expect(code).toBe(expected);
    if (expected === 0) expect([errors, shown]).toEqual(['', expect.stringMatching(/\n\(no name\) +[12] /)]);
    else expect([shown, errors]).toEqual(['', oneLine('its user may not look\\. Allow it: ACL SETUSER <name> \\+client\\|list')]);
  });

  it('shows no password that a server quotes', async () => {
    const quoting = await listen(answering(unknownCommand));
    const { code, errors } = await once(`redis://eve-3:${ENCODED}@127.0.0.1:${quoting}`);
    expect([code, errors]).toEqual([3, oneLine('it has no CLIENT LIST or INFO')]);
    expect(errors).toContain('with args beginning with: ***');
  });

  it.each([
    ['speaks HTTP', 'does not answer as Redis does', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['speaks SSH', 'does not answer as Redis does', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['sends control characters', 'ERR \\?\\[2J\\?\\]0;x\\? no', '-ERR \x1b[2J\x1b]0;x\x07 no\r\n'],
    ['loads its data, as an old one', 'it loads its data', '-LOADING Redis is loading the dataset in memory\r\n'],
    ['lets in its own machine alone', 'it is in protected mode', '-DENIED Redis is running in protected mode\r\n'],
  ])('says of a server that %s', async (_, said, reply) => {
    const port = await listen(answering(() => reply));
    const { code, errors, shown } = await once(`redis://127.0.0.1:${port}`);
    expect([code, shown, errors]).toEqual([3, '', oneLine(`(?:it )?${said}`)]);
    expect(errors).not.toContain('report this');
  });

  it.each([
    ['hangs up at once', 'it hung up', 'at once'],
    ['hangs up when it is greeted', 'it hung up', 'greeting'],
    ['hangs up when it is asked', 'it hung up', 'client LIST'],
  ])('says of a server that %s', async (_, said, when) => {
    const port = await listen((socket) => {
      if (when === 'at once') return socket.destroy();
      answering((command) => {
        if (when === 'greeting' || command.join(' ') === when) socket.destroy();
        return '+OK\r\n';
      })(socket);
    });
    expect(await once(`redis://127.0.0.1:${port}`)).toEqual({ code: 3, shown: '', errors: oneLine(said) });
  });

  it.runIf(isNewest).each(['+OK', '$-1', '$0\r\n', ':1', '*0'])(
    'takes %j for no figures, of which it would make a plateau',
    async (reply) => {
      const port = await listen(answering(() => `${reply}\r\n`));
      expect(await once(`redis://127.0.0.1:${port}`)).toEqual({
        code: 3,
        shown: '',
        errors: oneLine('it answers, but not with its clients'),
      });
    },
  );

  it.runIf(isNewest)('watches a server that still loads its data', { timeout: 60_000 }, async () => {
    // Loads a key in a millisecond, and looks at its clients all the time.
    const slowly = { 'key-load-delay': '1000', 'loading-process-events-interval-bytes': '1024' };
    const server = await startRedis({ fresh: true, args: Object.entries(slowly).flatMap(([name, value]) => [`--${name}`, value]) });
    onTestFinished(() => server.stop());
    const observer = new Redis(server.url, { enableReadyCheck: false });
    observer.on('error', () => {});
    onTestFinished(() => observer.disconnect());
    await observer.eval('for key = 1, 60000 do redis.call("SET", key, key) end', 0);
    await observer.save();
    // It is over when all is loaded, or when the test is.
    void server.restart().catch(() => {});
    const isLoading = async () => (await observer.info('persistence')).includes('\nloading:1');
    await until(isLoading, PATIENCE);
    expect(await startMonitor(folder, [server.url, '--once']).ended).toBe(0);
    const child = startMonitor(folder, [server.url, '--json', '--interval', '100']);
    await until(() => child.samples().length > 2, PATIENCE);
    expect(await isLoading()).toBe(true);
    expect([child.stderr(), child.samples().at(-1)?.verdict]).toEqual(['', 'watching']);
  });
});

describe.each(versions)('scoped-pool monitor of a full server, with %s,', (_, folder) => {
  const redis = useRedis({ fresh: true });
  const connect = () => {
    const connection = new Redis(redis().url, { connectionName: 'other', retryStrategy: () => null });
    connection.on('error', () => {});
    onTestFinished(() => connection.disconnect());
    return connection;
  };

  it('is not let in, and says so', async () => {
    await redis().observer.config('SET', 'maxclients', '1');
    for (const args of [['--once'], ['--json'], ['--expect-plateau', '10'], []]) {
      const child = startMonitor(folder, [redis().url, ...args]);
      expect([await child.ended, child.stdout()]).toEqual([3, '']);
      expect(child.stderr()).toMatch(
        /^scoped-pool monitor: Redis at \S+: it lets no more connections in\. Close some, or raise its maxclients\n$/,
      );
    }
  });

  it('calls it growth when connections are rejected again and again', { timeout: 60_000 }, async () => {
    await redis().observer.config('SET', 'maxclients', '2');
    const child = startMonitor(folder, [redis().url, '--expect-plateau', '10', '--interval', '250']);
    await until(() => child.stdout() !== '', PATIENCE);
    const timer = setInterval(connect, 300);
    onTestFinished(() => clearInterval(timer));
    expect([await child.ended, child.stderr()]).toEqual([
      1,
      expect.stringMatching(/^scoped-pool monitor: GROWING \+\d+ in 10 s; all were closed again or rejected; see who connects/),
    ]);
  });

  it('counts whom it rejects while it is watched', async () => {
    await redis().observer.config('SET', 'maxclients', '2');
    const before = Number(await redis().info('rejected_connections'));
    const json = startMonitor(folder, [redis().url, '--json', '--interval', '100']);
    await until(() => json.samples().length > 0, PATIENCE);
    for (let count = 0; count < 3; count++) {
      const rejected = connect();
      await new Promise((resolve) => rejected.once('end', resolve));
    }
    const last = await until(() => json.samples().find(({ rejectedMeanwhile }) => rejectedMeanwhile === 3), PATIENCE);
    expect(last).toMatchObject({ clients: 2, maxclients: 2, rejected: before + 3, opened: 3, unseenPerSecond: 0 });
  });
});
