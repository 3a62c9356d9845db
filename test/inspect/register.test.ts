import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { InvalidOptionError } from '../../src/index.ts';
import { printOnSignal } from '../../src/inspect/index.ts';
import { socketsIn } from '../../src/inspect/socket.ts';
import { start } from '../monitor/child.ts';
import { useCompiled } from '../support/compiled.ts';
import { until } from '../support/until.ts';

/** Until a process has started. */
const PATIENCE = { timeoutMs: 20_000 };
const folder = useCompiled();

/** Starts a program, which lies outside the library, with the register; each with sockets of its own. */
function run(source: string, name: string, env: NodeJS.ProcessEnv = {}) {
  const sockets = mkdtempSync(join(tmpdir(), 'scoped-pool-register-'));
  const file = join(sockets, name);
  writeFileSync(file, source);
  onTestFinished(() => rmSync(sockets, { recursive: true, force: true }));
  const register = join(folder, 'inspect/register.js');
  const child = start(process.execPath, ['--import', `file://${register}`, file], { TMPDIR: sockets, ...env });
  return { child, sockets: () => socketsIn(join(sockets, `scoped-pool-${process.getuid?.()}`)) };
}

const HOLDING = `
  import { definePool, withRoot } from '${join(folder, 'index.js')}';
  const pool = definePool('things', { create: async () => ({}) });
  await withRoot(async () => {
    const lease = await pool.acquire();
    console.log('holding');
    await new Promise((resolve) => process.stdin.once('data', resolve));
    lease.release();
  }, { name: 'app' });
  process.stdin.destroy();
`;

describe('scoped-pool/inspect/register', () => {
  it('prints what is open whenever SIGUSR2 comes, and serves it, in a program that knows nothing of it', async () => {
    const { child, sockets } = run(HOLDING, 'holding.mjs');
    await until(() => child.stdout().includes('holding') && sockets().length === 1, PATIENCE);
    for (let times = 1; times <= 2; times++) {
      child.process.kill('SIGUSR2');
      await until(() => child.stderr().match(/^root app, open/gm)?.length === times);
    }
    expect(child.stderr()).toMatch(/^ {2}pool things, up, 1 of 10 in use, 0 idle$/m);
    expect(child.stderr()).toMatch(/^ {2}lease things, exclusive, for \d+s, at .*holding\.mjs:5:\d+$/m);
    // It ends as it would without: nothing keeps it alive, nothing is left.
    child.process.stdin?.write('\n');
    expect(await child.ended).toBe(0);
    expect(sockets()).toEqual([]);
  });

  it('ends no program whose stderr nobody reads any more', async () => {
    const { child, sockets } = run(
      HOLDING.replace("console.log('holding')", "setInterval(() => console.log('holding'), 10)"),
      'unread.mjs',
    );
    await until(() => child.stdout().includes('holding') && sockets().length === 1, PATIENCE);
    child.process.stderr?.destroy();
    child.process.kill('SIGUSR2');
    child.process.kill('SIGUSR2');
    const { length } = child.stdout();
    await until(() => child.stdout().length > length + 100);
    child.process.kill();
    expect(await child.ended).toBe('SIGTERM');
  });

  it('leaves nothing behind when the program exits, or fails', async () => {
    const waiting = (end: string) => `console.log('here'); process.stdin.once('data', () => { ${end}; });`;
    for (const end of ['process.exit(3)', "throw new Error('failed')"]) {
      const { child, sockets } = run(waiting(end), 'exit.mjs');
      await until(() => child.stdout().includes('here') && sockets().length === 1, PATIENCE);
      child.process.stdin?.write('\n');
      expect(await child.ended).toBe(end.startsWith('throw') ? 1 : 3);
      expect(sockets()).toEqual([]);
    }
  });

  it('serves on, at the same socket, beside what the program serves itself, and when that is closed', async () => {
    const source = `
      import { serveInspection } from '${join(folder, 'inspect/index.js')}';
      const inspection = await serveInspection();
      await inspection.close();
      console.log(inspection.address);
      process.stdin.once('data', () => process.stdin.destroy());`;
    const { child, sockets } = run(source, 'both.mjs');
    await until(() => child.stdout() !== '', PATIENCE);
    expect(sockets()).toEqual([child.stdout().trim()]);
    child.process.stdin?.write('end');
    expect([await child.ended, child.stderr()]).toEqual([0, '']);
  });

  it('keeps no program alive', async () => {
    const { child } = run("console.log('done');", 'short.mjs');
    expect(await child.ended).toBe(0);
    expect(child.stdout()).toBe('done\n');
  });
});

describe.runIf(process.platform === 'linux')('scoped-pool/inspect/register where nothing can be made', () => {
  it('warns, and lets the program go on', async () => {
    const { child } = run("console.log('done');", 'nowhere.mjs', { TMPDIR: '/proc/none' });
    expect(await child.ended).toBe(0);
    expect(child.stdout()).toBe('done\n');
    expect(child.stderr()).toContain('ERR_INSPECTION_NOT_SERVED');
  });
});

describe('serveInspection in processes of their own', () => {
  it('tells in a cluster of each worker, at an address of its own', async () => {
    const { child } = run(
      `
        import cluster from 'node:cluster';
        import { serveInspection } from '${join(folder, 'inspect/index.js')}';
        if (cluster.isPrimary) for (let place = 0; place < 2; place++) cluster.fork();
        else console.log(process.pid, (await serveInspection({ port: 0 })).address);
      `,
      'cluster.mjs',
    );
    const lines = () =>
      child
        .stdout()
        .split('\n')
        .slice(0, -1)
        .map((line) => line.split(' '));
    await until(() => lines().length === 2);
    for (const [pid, address = ''] of lines()) expect(await (await fetch(address)).json()).toMatchObject({ pid: Number(pid) });
    child.process.kill();
  });

  it('ends with the program, though somebody is still connected', async () => {
    const { child, sockets } = run("console.log('here'); process.stdin.once('data', () => process.stdin.destroy());", 'connected.mjs');
    await until(() => child.stdout().includes('here') && sockets().length === 1, PATIENCE);
    const socket = connect(sockets()[0] ?? '');
    const cut = new Promise((resolve) => socket.once('close', resolve).on('error', () => {}));
    await once(socket, 'connect');
    child.process.stdin?.write('\n');
    expect(await child.ended).toBe(0);
    await cut;
  });
});

describe('printOnSignal', () => {
  it.each(['SIGKILL', 'SIGUSR1', 'SIGNONE', 7])('refuses %s', (signal) => {
    expect(() => printOnSignal(signal as NodeJS.Signals)).toThrow(InvalidOptionError);
  });

  it('takes its handler off', () => {
    const before = process.listenerCount('SIGUSR2');
    const printing = printOnSignal();
    expect(process.listenerCount('SIGUSR2')).toBe(before + 1);
    printing[Symbol.dispose]();
    expect(process.listenerCount('SIGUSR2')).toBe(before);
  });
});
