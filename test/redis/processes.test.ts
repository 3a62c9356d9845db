import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { type Program, startProgram } from '../support/program.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const folder = useCompiled();
const running: Program[] = [];
afterEach(async () => {
  for (const program of running.splice(0)) program.kill();
  await until(async () => (await redis().clients('sp:s:p:')).length === 0);
});

/**
 * A program that sets foo to 1, then starts itself again in the way named by its argument. That one sets foo to 2 over
 * the pool that it defines with the same lines. Both then have as many connections as they may have.
 */
const PROGRAM = `
  import { fork } from 'node:child_process';
  import cluster from 'node:cluster';
  import { once } from 'node:events';
  import { createInterface } from 'node:readline';
  import { isMainThread, parentPort, Worker } from 'node:worker_threads';
  import { Scope } from './index.js';
  import { defineRedisPool } from './redis/index.js';

  const [, file, url, how] = process.argv;
  const pool = defineRedisPool('p', { url, service: 's', max: 2 });
  const inScope = (fn) => Scope.process().run(fn);
  const ids = () => inScope(() => Promise.all(Array.from({ length: 10 }, () => pool.use((connection) => connection.client('ID')))));
  const START = {
    fork: () => fork(file, [url]),
    cluster: () => (cluster.setupPrimary({ exec: file, args: [url] }), cluster.fork()),
    thread: () => new Worker(file, { argv: [url] }),
  };

  async function parent() {
    await inScope(() => pool.set('foo', 1));
    const mine = await ids();
    const child = START[how]();
    const [theirs] = await once(child, 'message');
    const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    const tell = async (answer) => {
      await lines.next();
      console.log(JSON.stringify(answer));
    };
    await tell({ foo: await inScope(() => pool.get('foo')), mine, theirs, child: child.threadId ?? (child.process ?? child).pid });
    await tell({ mine: await ids() });
    if (child.terminate) await child.terminate();
    else (child.send('end'), await once(child, 'exit'));
    await tell({ exitCode: child.exitCode ?? child.process?.exitCode });
    await tell({ mine: await ids() });
  }

  async function child() {
    await inScope(() => pool.set('foo', 2));
    const mine = await ids();
    // Somebody waits for ever while the thread is terminated.
    if (!isMainThread) inScope(() => pool.blpop('nothing', 0));
    isMainThread ? process.send(mine) : parentPort.postMessage(mine);
    for (const event of ['message', 'disconnect']) process.on(event, () => process.exit());
  }

  if (how) parent();
  else child();`;

function start(how: string): Program {
  const file = join(folder, 'program.mjs');
  writeFileSync(file, PROGRAM);
  const program = startProgram([file, redis().url, how]);
  running.push(program);
  return program;
}

interface Answer {
  readonly foo: string;
  readonly mine: readonly number[];
  readonly theirs: readonly number[];
  /** The pid of the child process, or the id of the thread. */
  readonly child: number;
}

/** How many connections have which name. */
async function names(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { name = '' } of await redis().clients('sp:s:p:')) found[name] = (found[name] ?? 0) + 1;
  return found;
}

/** The inodes of the sockets of a process; of `among`, those that it has. */
function socketsOf(pid: number, among: ReadonlySet<string>): readonly string[] {
  const folderOf = `/proc/${pid}/fd`;
  const links = readdirSync(folderOf).map((fd) => readlinkSync(join(folderOf, fd)));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []).filter((inode) => among.has(inode));
}

/** The inodes of all sockets of this machine that are connected to the port. */
function socketsTo(port: number): ReadonlySet<string> {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  return new Set(rows.map((row) => row.trim().split(/\s+/)).flatMap((row) => (row[2]?.endsWith(remote) ? (row[9] ?? []) : [])));
}

describe.each(['fork', 'cluster'])('a child process made by %s', (how) => {
  it('has connections of its own, as many as it may have, named apart', async () => {
    const { child, ask } = start(how);
    const { foo, mine, theirs, child: pid } = (await ask()) as unknown as Answer;
    expect(foo).toBe('2');
    expect(pid).not.toBe(child.pid);
    expect(await names()).toEqual({ [`sp:s:p:${child.pid}`]: 2, [`sp:s:p:${pid}`]: 2 });
    expect(new Set([...mine, ...theirs]).size).toBe(4);
    // The parent goes on with what it had.
    expect(new Set([...mine, ...((await ask()).mine as number[])]).size).toBe(2);
    expect(await ask()).toEqual({ exitCode: 0 });
    await until(async () => (await names())[`sp:s:p:${pid}`] === undefined);
    expect(await names()).toEqual({ [`sp:s:p:${child.pid}`]: 2 });
    expect(new Set([...mine, ...((await ask()).mine as number[])]).size).toBe(2);
  });

  it.runIf(process.platform === 'linux')('inherits no socket to Redis', async () => {
    const { child, ask } = start(how);
    const { child: pid } = (await ask()) as unknown as Answer;
    const toRedis = socketsTo(redis().server.port);
    const [mine, theirs] = [socketsOf(child.pid as number, toRedis), socketsOf(pid, toRedis)];
    expect([mine.length, theirs.length]).toEqual([2, 2]);
    expect(new Set([...mine, ...theirs]).size).toBe(4);
  });
});

describe('a worker thread', () => {
  it('has connections of its own, as many as it may have, named apart, and gives them back when it is terminated', async () => {
    const { child, ask } = start('thread');
    const { foo, mine, theirs, child: threadId } = (await ask()) as unknown as Answer;
    const [ours, its] = [`sp:s:p:${child.pid}`, `sp:s:p:${child.pid}.${threadId}`];
    expect(foo).toBe('2');
    expect(await names()).toEqual({ [ours]: 2, [its]: 2 });
    expect(new Set([...mine, ...theirs]).size).toBe(4);
    await until(async () => (await redis().clients(its)).some(({ cmd }) => cmd === 'blpop'));
    await ask();
    await ask();
    await until(async () => (await names())[its] === undefined);
    expect(await names()).toEqual({ [ours]: 2 });
    expect(new Set([...mine, ...((await ask()).mine as number[])]).size).toBe(2);
  });
});
