import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { TreeNode } from 'scoped-pool';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CHROMIUM, lacksChromium } from '../support/chromium.ts';
import { saidBy, useExampleWithPage } from '../support/example.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** All processes of the example. */
interface Program {
  readonly child: ChildProcessWithoutNullStreams;
  readonly urls: readonly string[];
  /** Of the Redis server that it says it uses. */
  readonly redisUrl: string;
  /** Of the ticker and the servers, and of a Redis server of its own. */
  readonly parts: readonly number[];
  /** What they have complained of. */
  complaints(): string;
}

const redis = useRedis({ fresh: true });
const build = useExampleWithPage('examples/fan-out/index.html');
const started: Program[] = [];

afterEach(async () => {
  // Its parts end with it.
  for (const { child } of started) child.kill('SIGKILL');
  await until(() => started.every(({ parts }) => parts.every(isGone)), { timeoutMs: 10_000 });
  started.length = 0;
});

async function start(redisUrl = redis().url): Promise<Program> {
  const child = spawn(process.execPath, [join(build, 'dev/example-fan-out.js')], { env: { ...process.env, REDIS_URL: redisUrl } });
  const said = saidBy(child);
  const program = { child, urls: [] as string[], redisUrl: '', parts: [] as number[], complaints: () => said.errors };
  started.push(program);
  await until(() => /^over .*\n$/m.test(said.output), { timeoutMs: 30_000 });
  program.urls = said.output.match(/http:\S+/g) ?? [];
  program.redisUrl = /redis:[^;]+/.exec(said.output)?.[0] ?? '';
  program.parts = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', `${child.pid}`], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => (/ (?:node|redis-server|valkey-server|MainThread)/.test(line) ? [Number.parseInt(line, 10)] : []));
  return program;
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/** As Ctrl-C does. @returns its exit code and the signal that it died of. */
async function interrupt({ child }: Program): Promise<unknown[]> {
  const ended = once(child, 'close');
  child.kill('SIGINT');
  return ended;
}

/** How many pages a server sends to. */
async function readersOf(url: string): Promise<number> {
  const tree = (await (await fetch(`${url}/tree`)).json()) as TreeNode;
  return tree.children.filter(({ name }) => name === 'GET /live').length;
}

describe('npm run example:fan-out', () => {
  it('ends in order at Ctrl-C while pages read, and leaves nothing behind', async () => {
    const program = await start();
    expect([program.urls.length, program.parts.length, program.redisUrl]).toEqual([3, 4, redis().url]);
    const answers = await Promise.all(program.urls.map((url) => fetch(`${url}/live`)));
    expect(answers.map(({ headers }) => headers.get('content-type'))).toEqual(Array.from({ length: 3 }, () => 'text/event-stream'));
    await until(async () => (await Promise.all(program.urls.map(readersOf))).every((readers) => readers === 1));
    expect((await redis().clients('sp:')).length).toBe(4);
    expect(await interrupt(program)).toEqual([0, null]);
    // To the end, and not cut off.
    for (const answer of answers) expect(await answer.text()).toMatch(/^event: state\n[\s\S]*event: tick\n[\s\S]*\n\n$/);
    expect(program.parts.filter((pid) => !isGone(pid))).toEqual([]);
    expect([program.complaints(), await redis().clients()]).toEqual(['', []]);
  });

  it('frees what a page had that has gone', async () => {
    const program = await start();
    const [url = ''] = program.urls;
    const pages = Array.from({ length: 20 }, () => new AbortController());
    await Promise.all(pages.map(({ signal }) => fetch(`${url}/live`, { signal })));
    expect(await readersOf(url)).toBe(20);
    for (const page of pages) page.abort();
    await until(async () => (await readersOf(url)) === 0);
    expect(await interrupt(program)).toEqual([0, null]);
    expect(program.complaints()).toBe('');
  });

  it('without REDIS_URL has a server of its own, and takes it with it', async () => {
    const program = await start('');
    expect(program.redisUrl).not.toBe(redis().url);
    expect(program.parts).toHaveLength(5);
    expect(await interrupt(program)).toEqual([0, null]);
    expect(program.parts.filter((pid) => !isGone(pid))).toEqual([]);
    expect(program.complaints()).toBe('');
  });

  it('takes its parts with it, also when it is killed', async () => {
    const { child, parts } = await start('');
    child.kill('SIGKILL');
    await until(() => parts.every(isGone), { timeoutMs: 10_000 });
    expect(parts).toHaveLength(5);
  });

  it('ends when a part does', async () => {
    const { child, parts } = await start();
    const ended = once(child, 'close');
    process.kill(parts.at(-1) ?? 0, 'SIGKILL');
    expect(await ended).toEqual([1, null]);
    expect(parts.filter((pid) => !isGone(pid))).toEqual([]);
  });
});

describe.skipIf(lacksChromium)(`its pages${lacksChromium ? `: ${lacksChromium}` : ''}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());

  async function open(url: string): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(url);
    return { page, errors };
  }

  const texts = (page: Page, selector: string) => page.locator(selector).allInnerTexts();
  const gapsOf = (page: Page) => texts(page, '#feed .gap');
  /** The ticks that the page shows, newest first, by their numbers. */
  async function ticksOf(page: Page): Promise<Map<number, string>> {
    const rows = await texts(page, '#feed li:not(.gap)');
    return new Map(rows.map((row) => [Number(/^#(\d+)/.exec(row)?.[1]), row.replaceAll(/\s+/g, ' ')]));
  }
  const newestOf = async (page: Page) => Math.max(...(await ticksOf(page)).keys());
  const everyPage = async (pages: readonly Page[], isSo: (page: Page) => Promise<boolean>) =>
    (await Promise.all(pages.map(isSo))).every((so) => so);
  /** Waits until all have got two further ticks. */
  async function goOn(pages: readonly Page[]): Promise<void> {
    const newest = Math.max(...(await Promise.all(pages.map(newestOf))));
    await until(() => everyPage(pages, async (page) => (await newestOf(page)) > newest + 1), { timeoutMs: 20_000 });
  }

  it('show the same ticks, recover from what happens to Redis, and say that messages may be missing', async () => {
    const program = await start();
    const opened = await Promise.all(program.urls.map(open));
    const pages = opened.map(({ page }) => page);
    await until(() => everyPage(pages, async (page) => (await ticksOf(page)).size >= 8), { timeoutMs: 20_000 });
    const [first, second, third] = await Promise.all(pages.map(ticksOf));
    const common = [...(first ?? [])].filter(([number]) => second?.has(number) && third?.has(number));
    expect(common.length).toBeGreaterThan(3);
    for (const [number, tick] of common) expect([second?.get(number), third?.get(number)]).toEqual([tick, tick]);
    const servers = (await Promise.all(pages.map((page) => texts(page, '#server')))).flat();
    expect([...servers].sort()).toEqual(program.parts.slice(1).map(String).sort());
    expect(await everyPage(pages, async (page) => (await gapsOf(page)).length === 0)).toBe(true);

    await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => everyPage(pages, async (page) => (await gapsOf(page)).length === 1), { timeoutMs: 20_000 });
    expect((await Promise.all(pages.map(gapsOf))).flat()).toEqual(
      Array.from({ length: 3 }, () => expect.stringMatching(/^messages may be missing: some from .* \(closed\)$/)),
    );
    await goOn(pages);

    await redis().server.kill('SIGKILL');
    await until(() => everyPage(pages, async (page) => (await texts(page, '#redis'))[0] === 'down'), { timeoutMs: 20_000 });
    await redis().server.restart();
    await until(() => everyPage(pages, async (page) => (await texts(page, '#redis'))[0] === 'up'), { timeoutMs: 20_000 });
    await goOn(pages);
    for (const page of pages) expect((await gapsOf(page))[0]).toMatch(/\(closed\)$/);

    await pages[0]?.goto('about:blank');
    await until(async () => (await readersOf(program.urls[0] ?? '')) === 0);
    expect(await readersOf(program.urls[1] ?? '')).toBe(1);

    expect(await interrupt(program)).toEqual([0, null]);
    expect(program.parts.filter((pid) => !isGone(pid))).toEqual([]);
    await until(() => everyPage(pages.slice(1), async (page) => (await texts(page, '#page'))[0] === 'reconnecting'));
    expect(opened.flatMap(({ errors }) => errors)).toEqual([]);
  }, 120_000);

  it('show what comes as text, whatever it looks like', async () => {
    const program = await start();
    const { page } = await open(program.urls[0] ?? '');
    await until(async () => (await ticksOf(page)).size > 0);
    const symbol = '<img src=x class=injected>';
    await redis().observer.publish('ticks', JSON.stringify({ number: 1_000_000, symbol, price: 1 }));
    await until(async () => [...(await ticksOf(page)).values()].some((row) => row.includes(symbol)));
    expect(await page.locator('.injected').count()).toBe(0);
    expect(await interrupt(program)).toEqual([0, null]);
  });
});
