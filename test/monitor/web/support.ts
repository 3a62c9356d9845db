import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { CHROMIUM } from '../../support/chromium.ts';
import { until } from '../../support/until.ts';
import { type Child, start, startMonitor } from '../child.ts';

export const PATIENCE = { timeoutMs: 20_000 };

/** Where the processes of one test leave their sockets, and nobody else. */
export function ownFolder(): NodeJS.ProcessEnv {
  const own = mkdtempSync(join(tmpdir(), 'sp-'));
  onTestFinished(() => rmSync(own, { recursive: true, force: true }));
  return { TMPDIR: own };
}

/** The monitor, with its page at any port. @param folder Of `useCompiledPage`. */
export async function watch(
  folder: string,
  redisUrl: string,
  env: NodeJS.ProcessEnv,
): Promise<{ readonly child: Child; readonly url: string }> {
  const child = startMonitor(folder, [redisUrl, '--web', '--port', '0', '--interval', '250'], env);
  const url = (await until(() => /^http:\S+(?=\n)/.exec(child.stdout())?.[0], PATIENCE)) ?? '';
  return { child, url };
}

/**
 * A program that takes a connection every 200 ms and never gives it back, in line 4, and in line 5 opens one without a pool.
 *
 * @returns its file.
 */
export function startLeaking(folder: string, redisUrl: string, env: NodeJS.ProcessEnv, { max = 1_000, scope = 'leaking' } = {}): string {
  // Not where the library lies: its own lines are nobody's.
  const modules = join(`${env.TMPDIR}`, 'node_modules');
  mkdirSync(modules);
  symlinkSync(folder, join(modules, 'scoped-pool'));
  symlinkSync(join(folder, 'node_modules/ioredis'), join(modules, 'ioredis'));
  const file = join(`${env.TMPDIR}`, 'leaking.mjs');
  const lines = [
    `import { Redis } from 'ioredis'; import { withRoot } from 'scoped-pool'; import { defineRedisPool } from 'scoped-pool/redis';`,
    `import { serveInspection } from 'scoped-pool/inspect'; await serveInspection();`,
    `const pool = defineRedisPool('jobs', { url: ${JSON.stringify(redisUrl)}, service: 'leaky', max: ${max}, acquireTimeoutMs: 60_000 });`,
    `const leak = async () => pool.acquire();`,
    `const open = () => new Redis(${JSON.stringify(redisUrl)}, { connectionName: 'bare' });`,
    `setTimeout(open, 2_000);`,
    `await withRoot(() => { setInterval(() => leak().catch(() => {}), 200); return new Promise(() => {}); }, { name: ${JSON.stringify(scope)} });`,
  ];
  writeFileSync(file, lines.join('\n'));
  start(process.execPath, [file], env);
  return file;
}

/**
 * One browser for the tests of the `describe` it is called in.
 *
 * @returns opens a page, waits until it says this state, by default that it is live, and notes what is wrong with it.
 */
export function useBrowser(): (url: string, state?: string) => Promise<{ readonly page: Page; readonly errors: readonly string[] }> {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());
  return async (url, state = 'live') => {
    if (!browser) throw new Error('useBrowser(): it is there only inside tests');
    const page = await browser.newPage({ viewport: { width: 1_200, height: 900 } });
    onTestFinished(() => page.close());
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => errors.push(message.text()));
    await page.goto(url);
    await has(page.locator('#state'), state);
    return { page, errors };
  };
}

export async function textOf(locator: Locator): Promise<string> {
  return (await locator.allInnerTexts()).join('\n');
}

/** Waits until it shows this. */
export function has(locator: Locator, text: string | RegExp): Promise<boolean> {
  return until(async () => {
    const said = await textOf(locator);
    if (typeof text === 'string' ? said.includes(text) : text.test(said)) return true;
    throw new Error(`not ${text}: ${said}`);
  }, PATIENCE);
}
