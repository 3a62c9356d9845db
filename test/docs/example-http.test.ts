import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { TreeNode } from 'scoped-pool';
import type { Readiness } from 'scoped-pool/http';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { PoolStats } from '../../src/index.ts';
import { CHROMIUM, lacksChromium } from '../support/chromium.ts';
import { saidBy, useExampleWithPage } from '../support/example.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { root } from './markdown.ts';

/** What /state answers. */
type State = Readiness & { readonly stats: PoolStats; readonly tree: TreeNode };

/** The program in a process of its own. */
interface Program {
  readonly child: ChildProcessWithoutNullStreams;
  readonly url: string;
  /** The Redis server that it says it uses. */
  readonly redisUrl: string;
  /** What it has complained of. */
  complaints(): string;
}

const redis = useRedis({ fresh: true });
const children: ChildProcess[] = [];
const PAGE = 'examples/http-server/index.html';
const build = useExampleWithPage(PAGE);

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await until(async () => (await redis().clients()).length === 0);
  await redis().empty();
});

function spawnIt(env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [join(build, 'dev/example-http.js')], { env: { ...process.env, PORT: '', ...env } });
  children.push(child);
  const said = saidBy(child);
  return { child, said };
}

async function start(redisUrl = redis().url): Promise<Program> {
  const { child, said } = spawnIt({ REDIS_URL: redisUrl });
  const line = /^(http:\S+) over (redis:\S+); Ctrl-C ends it\n$/;
  await until(() => line.test(said.output), { timeoutMs: 20_000 });
  const [, url = '', used = ''] = line.exec(said.output) ?? [];
  return { child, url, redisUrl: used, complaints: () => said.errors };
}

/** Tells it to end. @returns its exit code and the signal that it died of. */
async function end({ child }: Program): Promise<unknown[]> {
  const ended = once(child, 'close');
  child.kill('SIGTERM');
  return ended;
}

const get = async ({ url }: Program, path: string) => (await fetch(url + path)).text();
const stateOf = async (program: Program) => JSON.parse(await get(program, '/state')) as State;
const poolOf = async (program: Program) => (await stateOf(program)).pools.redis;
/** How a request is, and what it has open. */
function requestIn({ tree }: State, path: string) {
  const request = tree.children.find(({ name }) => name === `GET ${path}`);
  return request && { state: request.state, has: request.children.map(({ kind, name, state }) => `${kind} ${name}: ${state}`) };
}

/** Polls until it is so. */
async function stateWhen(program: Program, isSo: (state: State) => boolean): Promise<State> {
  let state: State | undefined;
  await until(async () => {
    state = await stateOf(program);
    return isSo(state);
  });
  return state as State;
}

async function isListening(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port, timeout: 1_000 });
  socket.on('timeout', () => socket.destroy(new Error('no answer')));
  const answer = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return answer;
}

describe('npm run example:http', () => {
  it('says how its pool is, and counts visits', async () => {
    const program = await start();
    expect(await poolOf(program)).toEqual({ state: 'up', max: 5, open: 1, inUse: 0, pending: 0 });
    expect([await get(program, '/visit'), await get(program, '/visit?again')]).toEqual(['visit 1', 'visit 2']);
    expect(await poolOf(program)).toMatchObject({ open: 1, inUse: 0 });
    const ready = await fetch(`${program.url}/ready`);
    expect([ready.status, ready.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(await ready.json()).toMatchObject({ ready: true, pools: { redis: { state: 'up' } } });
    expect((await fetch(`${program.url}/nowhere`)).status).toBe(404);
    expect(await end(program)).toEqual([0, null]);
    expect(program.complaints()).toBe('');
  });

  it('serves a page, to this machine alone', async () => {
    const program = await start();
    const answer = await fetch(program.url);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await answer.text()).toBe(readFileSync(join(root, PAGE), 'utf8'));
    const port = Number(new URL(program.url).port);
    expect([await isListening('127.0.0.1', port), await isListening('127.0.0.2', port)]).toEqual([true, false]);
    await end(program);
  });

  it('holds a connection for each slow request, five at most, and refuses whom it makes wait too long', async () => {
    const program = await start();
    const asked = Array.from({ length: 11 }, () => fetch(`${program.url}/slow`).then(({ status }) => status));
    const full = await stateWhen(program, ({ pools }) => pools.redis?.pending === 6);
    expect(full.pools.redis).toMatchObject({ max: 5, open: 5, inUse: 5 });
    expect((await Promise.all(asked)).sort()).toEqual([...Array.from({ length: 10 }, () => 200), 503]);
    expect(await poolOf(program)).toMatchObject({ open: 5, inUse: 0, pending: 0 });
    expect(program.complaints()).toContain('AcquireTimeoutError: pool "redis" of scope "server": no exclusive lease within 3');
    expect(await end(program)).toEqual([0, null]);
  });

  it('revokes what a request has leaked once it has ended, and closes its connection', async () => {
    const program = await start();
    const [before] = await redis().clients('sp:');
    const answer = get(program, '/leak');
    const running = await stateWhen(program, ({ pools }) => pools.redis?.inUse === 1);
    expect(requestIn(running, '/leak')).toEqual({ state: 'open', has: ['lease redis: exclusive'] });
    expect(running.stats).toMatchObject({ leaked: 0, closed: 0 });
    expect(await answer).toBe('answered, and the lease is still held');
    const answered = await stateWhen(program, (state) => requestIn(state, '/leak')?.state === 'draining');
    expect(requestIn(answered, '/leak')?.has).toEqual(['lease redis: exclusive']);
    expect(answered.stats).toMatchObject({ inUse: 1, leaked: 0 });
    const after = await stateWhen(program, ({ stats }) => stats.closed === 1);
    expect(after.stats).toMatchObject({ inUse: 0, leaked: 1, closedBy: { leaked: 1 } });
    await stateWhen(program, (state) => requestIn(state, '/leak') === undefined);
    await until(async () => (await redis().clients()).every(({ id }) => id !== before?.id));
    expect(program.complaints()).toContain('leaked lease, held exclusively by scope "GET /leak"');
    expect(await get(program, '/visit')).toMatch(/^visit \d+$/);
    expect(await end(program)).toEqual([0, null]);
  });

  it('at SIGTERM takes no more, finishes what runs, and ends by itself with 0', async () => {
    const program = await start();
    const slow = get(program, '/slow');
    await until(async () => (await poolOf(program))?.inUse === 1);
    const ended = end(program);
    await until(async () => !(await isListening('127.0.0.1', Number(new URL(program.url).port))));
    expect((await redis().clients('sp:')).length).toBe(1);
    expect(await slow).toBe('held a connection for 2 s');
    expect(await ended).toEqual([0, null]);
    expect(await redis().clients()).toEqual([]);
    expect(program.complaints()).toBe('');
  });

  it('without REDIS_URL has a server of its own, and takes it with it', async () => {
    const program = await start('');
    const { hostname, port } = new URL(program.redisUrl);
    expect(program.redisUrl).not.toBe(redis().url);
    expect(await get(program, '/visit')).toBe('visit 1');
    expect(await isListening(hostname, Number(port))).toBe(true);
    expect(await end(program)).toEqual([0, null]);
    expect(await isListening(hostname, Number(port))).toBe(false);
  });

  it('does not start without the server that REDIS_URL names', async () => {
    const { child, said } = spawnIt({ REDIS_URL: 'redis://127.0.0.1:1' });
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(said.errors).toContain('nothing answers at REDIS_URL');
  });
});

describe.skipIf(lacksChromium)(`the page of it${lacksChromium ? `: ${lacksChromium}` : ''}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());

  /** What the page says now, by id. */
  const look = (page: Page) =>
    page.evaluate<Record<string, string>>(
      'Object.fromEntries([...document.querySelectorAll("[id]")].map(({ id, textContent }) => [id, textContent]))',
    );

  async function open({ url }: Program): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => errors.push(message.text()));
    await page.goto(url);
    return { page, errors };
  }

  /** Waits until the page says all this at once. */
  const shows = (page: Page, expected: Record<string, unknown>) =>
    expect.poll(() => look(page), { timeout: 10_000, interval: 20 }).toMatchObject(expected);

  it('shows the pool live: a visit, a slow request, and a leak that is revoked', async () => {
    const program = await start();
    const { page, errors } = await open(program);
    const idle = { health: 'redis: up', max: '5', open: '1', inUse: '0', pending: '0', leaked: '0', closed: '0' };
    await shows(page, { ...idle, answer: 'none yet', tree: expect.stringMatching(/^root server: open, [\d.]+ s/) });

    await page.click('#visit');
    await shows(page, { ...idle, answer: 'visit 1' });

    await page.click('#slow');
    const holding = /scope POST \/slow: open, [\d.]+ slease redis: exclusive/;
    await shows(page, { ...idle, inUse: '1', answer: 'visit 1', tree: expect.stringMatching(holding) });
    await shows(page, { ...idle, answer: 'held a connection for 2 s', tree: expect.not.stringContaining('/slow') });

    await page.click('#leak');
    const leaking = /scope POST \/leak: open, [\d.]+ slease redis: exclusive/;
    await shows(page, { ...idle, inUse: '1', tree: expect.stringMatching(leaking) });
    const answer = 'answered, and the lease is still held';
    await shows(page, { ...idle, inUse: '1', answer, tree: expect.stringMatching(/POST \/leak: draining.*lease redis: exclusive/) });
    const revoked = { open: '0', inUse: '0', leaked: '1', closed: '1' };
    await shows(page, { ...idle, ...revoked, health: 'redis: unknown', tree: expect.not.stringContaining('/leak') });

    await page.click('#visit');
    await shows(page, { ...idle, ...revoked, open: '1', answer: 'visit 2' });
    expect(errors).toEqual([]);

    expect(await end(program)).toEqual([0, null]);
    expect(await redis().clients()).toEqual([]);
    await shows(page, { health: expect.stringMatching(/^unknown: /) });
  });

  it('shows what an answer says as text, whatever it looks like', async () => {
    const program = await start();
    const { page } = await open(program);
    await page.route('**/visit', (route) => route.fulfill({ body: '<img src=x id=injected>' }));
    await page.click('#visit');
    await shows(page, { answer: '<img src=x id=injected>' });
    expect(await page.locator('#injected').count()).toBe(0);
    await end(program);
  });
});
