import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DevRedis, type StartOptions, startRedis } from '../../dev/redis-server.ts';
import { until } from '../support/until.ts';

const servers: DevRedis[] = [];
const start = async (options: StartOptions = {}) => {
  const server = await startRedis({ fresh: true, ...options });
  servers.push(server);
  return server;
};

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { retryStrategy: () => null });
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

const folderOf = (url: string) => ask(url, async (redis) => String((await redis.config('GET', 'dir')).at(1)));

const isListening = async (port: number) => {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
  socket.destroy();
  return answer;
};

describe('startRedis', () => {
  it('starts a server that answers', async () => {
    const { url } = await start();
    await expect(ask(url, (redis) => redis.ping())).resolves.toBe('PONG');
  });

  it('starts servers side by side, each on a port of its own', async () => {
    const all = await Promise.all([start(), start(), start()]);
    expect(new Set(all.map(({ port }) => port)).size).toBe(3);
  });

  it('passes further arguments on', async () => {
    const { url } = await start({ args: ['--maxclients', '17'] });
    await expect(ask(url, (redis) => redis.config('GET', 'maxclients'))).resolves.toContain('17');
  });

  it('says why a server does not start', async () => {
    await expect(start({ args: ['--no-such-option', 'yes'] })).rejects.toThrow(/does not start:[\s\S]*no-such-option/);
  });

  it('stops the server and removes its folder', async () => {
    const server = await start();
    const folder = await folderOf(server.url);
    expect(existsSync(folder)).toBe(true);
    await server.stop();
    expect(await isListening(server.port)).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });

  it('may be stopped twice', async () => {
    const server = await start();
    await server.stop();
    await server.stop();
  });

  it('restarts on the same port as another process, without its data', async () => {
    const server = await start();
    const { port, pid } = server;
    await ask(server.url, (redis) => redis.set('key', 'value'));
    await server.restart();
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    await expect(ask(server.url, (redis) => redis.get('key'))).resolves.toBeNull();
  });

  it('keeps the data over a crash and restart with appendOnly', async () => {
    const server = await start({ appendOnly: true });
    await ask(server.url, (redis) => redis.set('key', 'value'));
    await server.kill('SIGKILL');
    expect(await isListening(server.port)).toBe(false);
    await server.restart();
    await expect(ask(server.url, (redis) => redis.get('key'))).resolves.toBe('value');
  });

  it('freezes and thaws', async () => {
    const server = await start();
    await ask(server.url, async (redis) => {
      await redis.ping();
      await server.kill('SIGSTOP');
      const frozen = redis.ping();
      await expect(Promise.race([frozen, isListening(server.port).then(() => 'no answer')])).resolves.toBe('no answer');
      await server.kill('SIGCONT');
      await expect(frozen).resolves.toBe('PONG');
    });
  });

  it('listens to its server no more after many signals and restarts than before', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    const server = await start();
    for (let round = 0; round < 12; round++) {
      await server.kill('SIGSTOP');
      await server.kill('SIGCONT');
    }
    for (let round = 0; round < 12; round++) await server.restart();
    await new Promise(setImmediate);
    process.off('warning', warned);
    expect(warned.mock.calls).toEqual([]);
  });

  it('stops a frozen server', async () => {
    const server = await start();
    await server.kill('SIGSTOP');
    await server.stop();
    expect(await isListening(server.port)).toBe(false);
  });
});

describe('startRedis without a server of its own', () => {
  it('lists the ways to get one when there is none', async () => {
    vi.stubEnv('REDIS_URL', undefined);
    vi.stubEnv('PATH', '');
    await expect(startRedis()).rejects.toThrow(/apt-get install redis-server[\s\S]*brew install redis[\s\S]*docker run[\s\S]*REDIS_URL=/);
  });

  it('uses the server that REDIS_URL names, and neither signals nor stops it', async () => {
    const { url, port } = await start();
    vi.stubEnv('REDIS_URL', url);
    const given = await startRedis();
    expect(given).toMatchObject({ url, port, host: '127.0.0.1', pid: undefined });
    await expect(given.kill('SIGKILL')).rejects.toThrow('fresh: true');
    await expect(given.restart()).rejects.toThrow('fresh: true');
    await given.stop();
    expect(await isListening(port)).toBe(true);
  });

  it('says so when nothing answers at REDIS_URL', async () => {
    const { url, stop } = await start().then((server) => ({ url: server.url, stop: () => server.stop() }));
    await stop();
    vi.stubEnv('REDIS_URL', url);
    await expect(startRedis()).rejects.toThrow(`nothing answers at REDIS_URL=${url}`);
  });

  it.each([
    ['foo', 'foo'],
    ['localhost:6379', 'localhost:6379'],
    ['http://127.0.0.1:6379', 'http://127.0.0.1:6379'],
    ['redis://', 'redis://'],
    ['user:hunter2@host:6379', '***@host:6379'],
    ['redis://user:hunter2@host:port', 'redis://***@host:port'],
  ])('says what REDIS_URL must look like when it is %s', async (given, shown) => {
    vi.stubEnv('REDIS_URL', given);
    const format = 'redis://host:port, redis://user:password@host:port/db or rediss://…';
    await expect(startRedis()).rejects.toThrow(new Error(`REDIS_URL must look like ${format}; got "${shown}"`));
  });

  it('shows no credentials of REDIS_URL', async () => {
    vi.stubEnv('REDIS_URL', 'redis://user:hunter2@127.0.0.1:1/0?password=hunter2');
    await expect(startRedis()).rejects.toThrow('nothing answers at REDIS_URL=redis://***@127.0.0.1:1/0; start');
  });

  it('starts one of its own in spite of REDIS_URL when it must be fresh', async () => {
    vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1');
    const { pid } = await start();
    expect(pid).toBeTypeOf('number');
  });
});

// A child runs no TypeScript on Node 20, so the module is compiled for it.
describe('the process that started a server', () => {
  const compiled = mkdtempSync(join(tmpdir(), 'scoped-pool-test-'));
  const children: ChildProcess[] = [];

  beforeAll(() => {
    const options =
      '--ignoreConfig --module nodenext --target es2022 --lib es2023 --types node --skipLibCheck --rewriteRelativeImportExtensions --outDir'.split(
        ' ',
      );
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', 'dev/redis-server.ts', ...options, compiled]);
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(compiled, { recursive: true });
  });

  async function startInChild(afterwards: string): Promise<{ readonly child: ChildProcess; readonly port: number; readonly url: string }> {
    const script = `
      const { startRedis } = await import(${JSON.stringify(join(compiled, 'redis-server.js'))});
      const { port, url } = await startRedis({ fresh: true });
      console.log(JSON.stringify({ port, url }));
      ${afterwards}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [line] = await once(createInterface(child.stdout), 'line');
    return { child, ...JSON.parse(line) };
  }

  it('takes it along when it is killed', async () => {
    const { child, port, url } = await startInChild('setInterval(() => {}, 1_000);');
    const folder = await folderOf(url);
    child.kill('SIGKILL');
    await until(async () => !(await isListening(port)));
    await until(() => !existsSync(folder));
  });

  it('is not kept alive by it, and takes it along when it ends', async () => {
    const { child, port } = await startInChild('');
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    await until(async () => !(await isListening(port)));
  });

  it('reaches the end of stop() though nothing else keeps it alive', async () => {
    const { child } = await startInChild('await (await startRedis({ fresh: true })).stop(); process.exitCode = 7;');
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(7);
  });
});
