import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DevPostgres, lacksPostgres, startPostgres } from '../../dev/postgres-server.ts';
import { root } from '../docs/markdown.ts';
import { until } from '../support/until.ts';

const missing = lacksPostgres();
const clients: Client[] = [];

async function dial(url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => {});
  clients.push(client);
  await client.connect();
  return client;
}

/** Whether a connection to the port is let in, by whomever. */
const isListening = async (port: number) => {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
  socket.destroy();
  return answer;
};

beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(() => {
  for (const client of clients.splice(0)) client.connection.stream.destroy();
});

describe('startPostgres', () => {
  let server: DevPostgres;
  beforeAll(async () => {
    if (missing === undefined) server = await startPostgres();
  });
  afterAll(() => server?.stop());

  const ask = async (text: string) => (await (await dial(server.url)).query(text)).rows[0];

  it('starts a server that answers, on a port of its own', async () => {
    expect(await ask('SELECT current_user, current_database()')).toEqual({ current_user: 'postgres', current_database: 'postgres' });
    expect(server.url).toContain(`@127.0.0.1:${server.port}/`);
  });

  it('lets nobody in without the password', async () => {
    const stranger = new Client(server.url.replace(/:[^:@]+@/, ':guessed@'));
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
  });

  it('freezes and thaws, those who are connected, too', async () => {
    const client = await dial(server.url);
    await server.freeze();
    const frozen = client.query('SELECT 1 AS one');
    await expect(Promise.race([frozen, isListening(server.port).then(() => 'no answer')])).resolves.toBe('no answer');
    server.thaw();
    expect((await frozen).rows).toEqual([{ one: 1 }]);
  });

  it('restarts on the same port, with its data, and drops who was connected, also when it is frozen', async () => {
    await ask('CREATE TABLE kept AS SELECT 7 AS n');
    for (const prepare of [() => {}, () => server.freeze()]) {
      const client = await dial(server.url);
      const ended = new Promise<void>((resolve) => client.once('end', resolve));
      await prepare();
      await server.restart();
      await ended;
      expect(await ask('SELECT n FROM kept')).toEqual({ n: 7 });
    }
  });
});

describe('a Postgres server that was stopped', () => {
  it('does not listen, and has no folder', async () => {
    const server = await startPostgres();
    const client = await dial(server.url);
    const folder = (await client.query("SELECT current_setting('data_directory') AS folder")).rows[0].folder;
    expect(existsSync(folder)).toBe(true);
    await server.freeze();
    await server.stop();
    await server.stop();
    expect(await isListening(server.port)).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });
});

describe('lacksPostgres', () => {
  afterEach(() => void vi.unstubAllEnvs());

  it('names where it was looked for', () => {
    // On Debian it is found off the PATH, too.
    vi.stubEnv('PATH', '');
    const reason = lacksPostgres();
    if (existsSync('/usr/lib/postgresql')) expect(reason).toBeUndefined();
    else expect(reason).toContain('no postgres on the PATH');
  });
});

// A child runs no TypeScript on Node 20, so the module is compiled for it, where it finds `pg`.
describe('the process that started a Postgres server', () => {
  const cache = join(root, '.cache');
  let compiled: string;
  const children: ChildProcess[] = [];

  beforeAll(() => {
    mkdirSync(cache, { recursive: true });
    compiled = mkdtempSync(join(cache, 'postgres-'));
    const options =
      '--ignoreConfig --module nodenext --target es2022 --lib es2023 --types node --skipLibCheck --rewriteRelativeImportExtensions';
    execFileSync(process.execPath, [
      'node_modules/typescript/bin/tsc',
      'dev/postgres-server.ts',
      ...options.split(' '),
      '--outDir',
      compiled,
    ]);
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(compiled, { recursive: true });
  });

  it.each(['', 'await server.freeze();'])('takes it along when it is killed, every process of it, frozen or not: %s', async (before) => {
    const script = `
      const { startPostgres } = await import(${JSON.stringify(join(compiled, 'postgres-server.js'))});
      const server = await startPostgres();
      console.log(server.url);
      process.stdin.once('data', async () => {
        ${before}
        console.log('ready');
      });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    const lines = createInterface(child.stdout);
    const [url] = await once(lines, 'line');
    const client = await dial(url);
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    child.stdin.write('\n');
    await once(lines, 'line');
    child.kill('SIGKILL');
    await ended;
    await until(async () => !(await isListening(client.port)), { timeoutMs: 20_000 });
  });
});
