import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { get, type RequestOptions } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InvalidOptionError, Scope, withRoot } from '../../src/index.ts';
import { type InspectionServer, serveInspection } from '../../src/inspect/index.ts';
import { until } from '../support/until.ts';

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

function ask(address: string, path = '/', options: RequestOptions = {}): Promise<Answer> {
  const where = address.startsWith('http')
    ? { port: new URL(address).port, host: '127.0.0.1' }
    : { socketPath: address, host: 'localhost' };
  return new Promise((resolve, reject) => {
    const request = get({ ...where, path, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.on('error', reject);
  });
}

let folder = '';
const servers: InspectionServer[] = [];
const serve = async (options?: { port: number }) => {
  const server = await serveInspection(options);
  servers.push(server);
  return server;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scoped-pool-inspect-'));
  vi.stubEnv('TMPDIR', folder);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const refusal = (serveIt = serveInspection) =>
  serveIt().then(
    () => undefined,
    (error: unknown) => error,
  );

describe.each([
  ['a socket', undefined],
  ['a port', { port: 0 }],
] as const)('serveInspection at %s', (_, options) => {
  it('serves what is open as data and as text', async () => {
    const { address } = await serve(options);
    await withRoot(
      async () => {
        const { status, text } = await ask(address);
        expect(status).toBe(200);
        expect(JSON.parse(text)).toMatchObject({ format: 1, pid: process.pid, roots: expect.any(Array) });
        expect(text).toContain('"served"');
        expect((await ask(address, '/scopes')).text).toMatch(/^root served, open/m);
      },
      { name: 'served' },
    );
  });

  it('answers nothing else', async () => {
    const { address } = await serve(options);
    expect(await ask(address, '/other')).toMatchObject({ status: 404, text: expect.stringContaining('/scopes') });
    expect(await ask(address, '/', { method: 'POST' })).toMatchObject({ status: 405 });
  });

  it.each([
    { host: 'evil.example' },
    { host: '127.0.0.1.evil.example' },
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ])('tells nothing to the page of somebody else: %o', async (headers) => {
    const { address } = await serve(options);
    for (const path of ['/', '/scopes']) {
      expect(await ask(address, path, { headers })).toEqual({ status: 403, text: expect.stringContaining('from this machine') });
    }
  });

  it('answers whoever asks from this machine', async () => {
    const { address } = await serve(options);
    const own = [
      { host: 'localhost:1' },
      { host: '[::1]:2' },
      { host: '127.0.0.1' },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'same-origin' },
    ];
    for (const headers of own) expect(await ask(address, '/', { headers })).toMatchObject({ status: 200 });
  });

  it('says so when what is open cannot be told, and goes on', async () => {
    const { address } = await serve(options);
    const scopes = [new Scope({ parent: null })];
    for (let depth = 0; depth < 20_000; depth++) scopes.push(new Scope({ parent: scopes.at(-1) as Scope }));
    for (const path of ['/', '/scopes']) {
      expect(await ask(address, path)).toEqual({ status: 500, text: expect.stringContaining('call stack') });
    }
    for (const scope of scopes.reverse()) await scope.close();
    expect(await ask(address)).toMatchObject({ status: 200 });
  });

  it('is gone when it is closed, also twice', async () => {
    const server = await serve(options);
    await Promise.all([server.close(), server.close()]);
    await server[Symbol.asyncDispose]();
    await expect(ask(server.address)).rejects.toThrow(/ECONNREFUSED|ENOENT/);
    const again = await serve(options);
    expect(await ask(again.address)).toMatchObject({ status: 200 });
  });

  it('keeps no more than some for who connects and reads nothing, and those not for long', { timeout: 60_000 }, async () => {
    const { address } = await serve(options);
    const silent = Array.from({ length: 30 }, () =>
      address.startsWith('http') ? connect(Number(new URL(address).port), '127.0.0.1') : connect(address),
    );
    let open = silent.length;
    for (const socket of silent) socket.on('error', () => {}).once('close', () => open--);
    // Twenty are let in, and then nobody else.
    await until(() => open === 20);
    await expect(ask(address)).rejects.toThrow();
    await until(async () => (await ask(address)).status === 200, { timeoutMs: 30_000 });
    await until(() => open === 0);
  });

  it('closes though somebody has connected and says nothing', async () => {
    const server = await serve(options);
    const { port } = server.address.startsWith('http') ? new URL(server.address) : { port: undefined };
    const socket = port === undefined ? connect(server.address) : connect(Number(port), '127.0.0.1');
    const cut = new Promise((resolve) => socket.once('error', resolve).once('close', resolve));
    socket.write('GET / HT');
    await once(socket, 'connect');
    // The server has it as soon as it answers a later one.
    await ask(server.address);
    await server.close();
    await cut;
  });
});

describe('serveInspection at a socket', () => {
  it("lets nobody else in: the folder is the user's alone", async () => {
    const { address } = await serve();
    expect(dirname(address)).toBe(join(folder, `scoped-pool-${process.getuid?.()}`));
    expect(statSync(dirname(address)).mode & 0o777).toBe(0o700);
  });

  it('takes the place of a process that had its number and left its socket behind', async () => {
    const { address } = await serve();
    await servers.splice(0)[0]?.close();
    // What a process leaves that is killed: Node takes away what lies where the server listened.
    const left = createServer().listen(address);
    await once(left, 'listening');
    renameSync(address, `${address}.moved`);
    left.close();
    await once(left, 'close');
    renameSync(`${address}.moved`, address);
    expect((await serve()).address).toBe(address);
    expect(await ask(address)).toMatchObject({ status: 200 });
  });

  it('is one for all who ask for it, until the last has closed it', async () => {
    const [first, second] = await Promise.all([serve(), serve()]);
    expect(second.address).toBe(first.address);
    await Promise.all([first.close(), first.close()]);
    expect(await ask(second.address)).toMatchObject({ status: 200 });
    await second.close();
    await expect(ask(second.address)).rejects.toThrow(/ECONNREFUSED|ENOENT/);
    const third = await serve();
    expect(await ask(third.address)).toMatchObject({ status: 200 });
  });

  it('says so when another copy of the library serves already, whose server goes on', async () => {
    const { address } = await serve();
    vi.resetModules();
    const copy = await import('../../src/inspect/index.ts');
    const error = await refusal(copy.serveInspection);
    expect(error).toMatchObject({
      code: 'ERR_INSPECTION_NOT_SERVED',
      message: expect.stringContaining(address),
      cause: { code: 'EADDRINUSE' },
    });
    expect(await ask(address)).toMatchObject({ status: 200 });
  });

  it('listens nowhere when its path is longer than the system takes', async () => {
    const long = join(folder, 'x'.repeat(50), 'x'.repeat(50));
    mkdirSync(long, { recursive: true });
    vi.stubEnv('TMPDIR', long);
    expect(await refusal()).toMatchObject({ code: 'ERR_INSPECTION_NOT_SERVED', message: expect.stringContaining('set TMPDIR') });
    expect(readdirSync(folder, { recursive: true })).toHaveLength(2);
  });

  it('makes no folder for temporary files, which others need, too', async () => {
    vi.stubEnv('TMPDIR', join(folder, 'none'));
    expect(await refusal()).toMatchObject({ code: 'ERR_INSPECTION_NOT_SERVED', cause: { code: 'ENOENT' } });
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['others may write', (path: string) => chmodSync(mkdirSync(path, { recursive: true }) ?? path, 0o777)],
    ['is a link', (path: string) => symlinkSync(mkdirSync(`${path}.real`, { recursive: true, mode: 0o700 }) ?? path, path)],
    ['is a file', (path: string) => writeFileSync(path, '')],
  ] as const)("does not listen in a folder that is not the user's alone: %s", async (_, prepare) => {
    prepare(join(folder, `scoped-pool-${process.getuid?.()}`));
    expect(await refusal()).toMatchObject({ code: 'ERR_INSPECTION_NOT_SERVED' });
  });
});

describe('serveInspection at a port', () => {
  it('says so when it is taken', async () => {
    const { address } = await serve({ port: 0 });
    const port = Number(new URL(address).port);
    await expect(serveInspection({ port })).rejects.toMatchObject({ code: 'ERR_INSPECTION_NOT_SERVED', cause: { code: 'EADDRINUSE' } });
  });

  it('listens at 127.0.0.1 alone', async () => {
    const { address } = await serve({ port: 0 });
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    await expect(ask(address, '/', { host: '127.0.0.2' })).rejects.toThrow('ECONNREFUSED');
  });

  it.each([{ port: -1 }, { port: 65_536 }, { port: 1.5 }, { port: '80' }, { prot: 80 }, null, 'x'])('refuses %o', async (options) => {
    await expect(serveInspection(options as unknown as { port: number })).rejects.toThrow(InvalidOptionError);
  });
});
