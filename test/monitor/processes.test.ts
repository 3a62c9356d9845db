import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { freePort } from '../../dev/server-process.ts';
import { now } from '../../src/clock.ts';
import { type Answers, Processes } from '../../src/monitor/processes.ts';
import { useCompiled } from '../support/compiled.ts';
import { until } from '../support/until.ts';
import { type Child, start } from './child.ts';

const folder = useCompiled();
const PATIENCE = { timeoutMs: 20_000 };
/** Less than the time in which it gives up one that is late, and more than that for which it waits. */
const SOON_MS = 4_000;
const LATE = 'it does not answer in time';
const NOT_OURS = 'it answers with something else than what a process has open';

let own = '';
let sockets = '';
beforeEach(() => {
  own = mkdtempSync(join(tmpdir(), 'scoped-pool-processes-'));
  sockets = join(own, `scoped-pool-${process.getuid?.()}`);
  mkdirSync(sockets, { mode: 0o700 });
  vi.stubEnv('TMPDIR', own);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(own, { recursive: true });
});

function asking(...given: readonly string[]): Processes {
  const processes = new Processes(given);
  onTestFinished(() => processes.close());
  return processes;
}

/** What comes in the end, also on a machine that is slow. */
async function heard(processes: Processes): Promise<Answers> {
  let answers = await processes.ask();
  await until(async () => {
    answers = await processes.ask();
    return ![...answers.failures.values()].includes(LATE);
  }, PATIENCE);
  return answers;
}

const pidsOf = ({ inspections }: Answers) => inspections.map(({ pid }) => pid).sort();

/** A process that has something open; a line to its stdin lets it do nothing else for so many milliseconds. */
async function holder(): Promise<Child & { readonly pid: number; readonly socket: string }> {
  const file = join(own, 'holder.mjs');
  writeFileSync(
    file,
    `import { definePool, withRoot } from '${join(folder, 'index.js')}';
     import { serveInspection } from '${join(folder, 'inspect/index.js')}';
     const pool = definePool('things', { create: async () => ({}) });
     await serveInspection();
     await withRoot(async () => {
       await pool.acquire();
       process.stdin.on('data', (ms) => {
         const end = Date.now() + Number(ms);
         while (Date.now() < end);
       });
       console.log('holding');
       await new Promise(() => {});
     }, { name: 'app' });`,
  );
  const child = start(process.execPath, [file], { TMPDIR: own });
  await until(() => child.stdout() === 'holding\n', PATIENCE);
  const pid = child.process.pid ?? 0;
  return { ...child, pid, socket: join(sockets, `${pid}.sock`) };
}

/** Somebody who answers as he likes, at a socket that is found. */
async function answering(listener: RequestListener, server: Server = createHttpServer(listener)): Promise<string> {
  const connections = new Set<Socket>();
  server.on('connection', (socket) => connections.add(socket));
  const path = join(sockets, 'other.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return path;
}

describe('processes of this user', () => {
  it('are found, and one that was killed leaves nothing', { timeout: 60_000 }, async () => {
    const [one, two] = await Promise.all([holder(), holder()]);
    const processes = asking();
    const answers = await until(async () => {
      const heard = await processes.ask();
      return heard.inspections.length === 2 && heard;
    }, PATIENCE);
    expect([pidsOf(answers as Answers), (answers as Answers).failures.size]).toEqual([[one.pid, two.pid].sort(), 0]);
    one.process.kill('SIGKILL');
    await one.ended;
    expect(existsSync(one.socket)).toBe(true);
    await until(async () => (await processes.ask()).inspections.length === 1, PATIENCE);
    // One that starts refuses, too, until it listens: of that it would never be known again.
    expect(existsSync(one.socket)).toBe(true);
    utimesSync(one.socket, 0, 0);
    const last = await processes.ask();
    expect([pidsOf(last), last.failures.size, existsSync(one.socket)]).toEqual([[two.pid], 0, false]);
  });

  it('hold nobody up while they stand still, and what they said last stands', { timeout: 60_000 }, async () => {
    const [frozen, other] = await Promise.all([holder(), holder()]);
    const processes = asking();
    await until(async () => (await processes.ask()).inspections.length === 2, PATIENCE);
    frozen.process.kill('SIGSTOP');
    const late = await until(async () => {
      const answers = await processes.ask();
      return answers.failures.size === 1 && answers;
    }, PATIENCE);
    expect(pidsOf(late as Answers)).toEqual([frozen.pid, other.pid].sort());
    expect([...(late as Answers).failures]).toEqual([[frozen.socket, `${LATE}; shown is what it said last`]]);
    const begun = now();
    await processes.ask();
    expect(now() - begun).toBeLessThan(SOON_MS);
    frozen.process.kill('SIGCONT');
    await until(async () => (await processes.ask()).failures.size === 0, PATIENCE);
  });

  it('are waited for beside it when they are busy for longer than the picture can wait', { timeout: 60_000 }, async () => {
    const busy = await holder();
    busy.process.stdin?.write('3000\n');
    const processes = asking();
    // The first question falls into that time.
    await until(async () => (await processes.ask()).failures.get(busy.socket) === LATE, PATIENCE);
    await until(async () => (await processes.ask()).inspections.length === 1, PATIENCE);
  });
});

it('waits beside the picture for one that always takes its time', { timeout: 60_000 }, async () => {
  await answering((_, response) => void setTimeout(() => response.end(answerWith({})), 1_500));
  const processes = asking();
  const heardLate = await until(async () => {
    const answers = await processes.ask();
    return answers.inspections.length === 1 && answers;
  }, PATIENCE);
  expect(pidsOf(heardLate as Answers)).toEqual([7]);
});

const LEASE = { heldMs: 1, exclusive: true, scope: 'app', stack: [], pool: 'things', site: undefined };
const STATS = { inUse: 1, idle: 0, creating: 0, max: null, pending: 0, timeouts: 0, leaked: 0 };
const POOL = { pool: 'things', scope: 'app', stats: STATS, health: { state: 'up' }, connections: [{ leases: [LEASE] }], waiters: [] };
const OPENING = { site: 'file:///a.js:1:2', server: '127.0.0.1:6379', stack: [], opened: 1, grown: 0, lastMs: 1 };
const LEAK = { pool: 'things', scope: 'app', stack: [], leaked: 1, grown: 1, lastMs: 1 };
const PROCESS = {
  format: 1,
  version: '0.1.0',
  id: 'one',
  pid: 7,
  thread: 0,
  script: '/app.js',
  uptimeMs: 1,
  openings: [OPENING],
  leaks: [LEAK],
};
const answerOf = (process: object) => JSON.stringify({ ...PROCESS, roots: [{ pools: [POOL] }], ...process });
const answerWith = (pool: object) => answerOf({ roots: [{ pools: [{ ...POOL, ...pool }] }] });

describe('an answer', () => {
  it('is taken in the form that is known', async () => {
    await answering((_, response) => response.end(answerWith({})));
    expect(pidsOf(await heard(asking()))).toEqual([7]);
  });

  it.each([
    ['is one process, asked at a socket and at a port', 'one', 1],
    ['is another process, with the same number, as in two containers', 'two', 2],
  ])('%s', async (_, id, count) => {
    await answering((_request, response) => response.end(answerWith({})));
    const port = createHttpServer((_request, response) => response.end(answerOf({ id }))).listen(0, '127.0.0.1');
    onTestFinished(() => void port.close());
    await once(port, 'listening');
    const { inspections, failures } = await heard(asking(`http://127.0.0.1:${(port.address() as AddressInfo).port}/`));
    expect([inspections.map(({ pid }) => pid), failures.size]).toEqual([Array(count).fill(7), 0]);
  });

  it.each([
    ['another format', '{"format":2}', 'it speaks another format (2); use the monitor of its version of scoped-pool'],
    ['no JSON', '\x1b[2J', NOT_OURS],
    ['nothing', '', NOT_OURS],
    ['null', 'null', NOT_OURS],
    ['a number', '7', NOT_OURS],
    ['no roots', '{"format":1}', NOT_OURS],
    ['roots that are none', '{"format":1,"roots":[null]}', NOT_OURS],
    ['a pool that is none', '{"format":1,"roots":[{"pools":[7]}]}', NOT_OURS],
    ['a pool without figures', answerWith({ stats: null }), NOT_OURS],
    ['connections that are none', answerWith({ connections: {} }), NOT_OURS],
    ['a lease without an age', answerWith({ connections: [{ leases: [{ ...LEASE, heldMs: 'old' }] }] }), NOT_OURS],
    ['a waiter without a stack', answerWith({ waiters: [{ ...LEASE, stack: 7 }] }), NOT_OURS],
    ['openings that are none', answerOf({ openings: [{ site: 'a' }] }), NOT_OURS],
    ['a leak without a number', answerOf({ leaks: [{ ...LEAK, leaked: 'many' }] }), NOT_OURS],
    ['a leak with a line that is no text', answerOf({ leaks: [{ ...LEAK, site: 7 }] }), NOT_OURS],
    ['an opening with a stack of no texts', answerOf({ openings: [{ ...OPENING, stack: [7] }] }), NOT_OURS],
    ['a process without a script', answerOf({ script: undefined }), NOT_OURS],
    ['a process without an id', answerOf({ id: undefined }), NOT_OURS],
    ['a process with a version that is no text', answerOf({ version: 1 }), NOT_OURS],
    ['a process whose number is none', answerOf({ pid: {} }), NOT_OURS],
    ['a pool with figures that are none', answerWith({ stats: { ...STATS, inUse: 'many' } }), NOT_OURS],
    ['a pool whose health is none', answerWith({ health: {} }), NOT_OURS],
    ['a pool with an error that is no text', answerWith({ health: { state: 'down', error: 7 } }), NOT_OURS],
    ['a lease that is shared or not', answerWith({ connections: [{ leases: [{ ...LEASE, exclusive: 'perhaps' }] }] }), NOT_OURS],
    ['a lease with a line that is no text', answerWith({ connections: [{ leases: [{ ...LEASE, site: 7 }] }] }), NOT_OURS],
    ['a lease with a stack of no texts', answerWith({ connections: [{ leases: [{ ...LEASE, stack: [7] }] }] }), NOT_OURS],
    ['depths', '['.repeat(1_000_000), NOT_OURS],
  ])('is refused: %s', async (_, text, reason) => {
    const path = await answering((_request, response) => response.end(text));
    const { inspections, failures } = await heard(asking());
    expect([inspections, [...failures]]).toEqual([[], [[path, expect.stringContaining(reason)]]]);
  });

  it('is refused where it is none of HTTP, or none that says 200', async () => {
    const path = await answering(
      () => {},
      createServer((socket) => socket.end('\x1b[2J\r\n\r\n')),
    );
    expect((await heard(asking())).failures.get(path)).toMatch(/^Parse Error: [\x20-\x7e]*$/);
    const url = `http://127.0.0.1:${await freePort()}/`;
    const server = createHttpServer((_, response) => response.writeHead(503).end(answerWith({}))).listen(new URL(url).port);
    onTestFinished(() => void server.close());
    expect((await heard(asking(url))).failures.get(url)).toBe('it answers with 503');
  });

  it('may break off', async () => {
    const path = await answering((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
    });
    expect((await heard(asking())).failures.get(path)).toBe('aborted');
  });

  it('that never ends is given up', { timeout: 60_000 }, async () => {
    const part = ' '.repeat(1024 * 1024);
    let sent = 0;
    let hasEnded = false;
    const path = await answering((_, response) => {
      const send = () => {
        sent++;
        response.write(part, () => setImmediate(send));
      };
      response.once('close', () => {
        hasEnded = true;
      });
      response.on('error', () => {});
      send();
    });
    const processes = asking();
    await until(async () => (await processes.ask()).failures.get(path) === 'it answers with more than can be shown', PATIENCE);
    await until(() => hasEnded);
    expect(sent).toBeGreaterThanOrEqual(16);
  });

  it('that never comes is given up, and asked for again', { timeout: 60_000 }, async () => {
    let asked = 0;
    let given = 0;
    const path = await answering((_, response) => {
      asked++;
      response.once('close', () => {
        given++;
      });
    });
    const processes = asking();
    await until(async () => (await processes.ask()).failures.get(path) === LATE && asked > 1, PATIENCE);
    expect(given).toBe(1);
    processes.close();
    // Sooner than it would be given up.
    await until(() => given === asked, { timeoutMs: 3_000 });
  });
});

describe('addresses', () => {
  it('are asked once each, and must answer', async () => {
    let asked = 0;
    const listener: RequestListener = (_, response) => {
      response.end(answerOf({ id: `${++asked}` }));
    };
    const path = await answering(listener);
    const server = createHttpServer(listener).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    const address = await until(() => server.address());
    const { port } = address as AddressInfo;
    const nobody = join(own, 'nobody.sock');
    // Of a URL the beginning may be in capitals.
    const { inspections, failures } = await asking(path, `HTTP://127.0.0.1:${port}/`, nobody, path).ask();
    expect([inspections.length, asked]).toEqual([2, 2]);
    expect([...failures]).toEqual([[nobody, expect.stringContaining('ENOENT')]]);
  });

  it('keep their file when nobody listens there: only what was found is cleared', async () => {
    const file = join(sockets, 'mine.sock');
    const server = createServer().listen(file);
    await until(() => server.listening);
    const child = start(process.execPath, ['-e', `require('net').createServer().listen('${file}2',()=>process.kill(process.pid,9))`]);
    await child.ended;
    server.close();
    const { failures } = await heard(asking(`${file}2`));
    expect([failures.get(`${file}2`), existsSync(`${file}2`)]).toEqual([expect.stringContaining('ECONNREFUSED'), true]);
  });
});
