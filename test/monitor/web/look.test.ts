import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pageFiles } from '../../../src/monitor/web/files.ts';
import { MOST_ENTRIES, MOST_POINTS, type News } from '../../../src/monitor/web/page/messages.ts';
import { PageServer } from '../../../src/monitor/web/server.ts';
import { shotOf } from '../../../src/monitor/web/shot.ts';
import { lacksChromium } from '../../support/chromium.ts';
import { useCompiledPage } from '../../support/compiled.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { INSIDE, leaking, poolRow } from '../support.ts';
import { has, ownFolder, startLeaking, textOf, useBrowser, watch } from './support.ts';

const folder = useCompiledPage();
const redis = useRedis({ fresh: true });

/** What the page runs to find texts that are hard to read: by WCAG 2.2, 1.4.3, 4.5 to 1 at the least. */
const FAINT_TEXTS = `(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const { backgroundColor } = getComputedStyle(node);
    return numbers(backgroundColor)[3] === 0 ? behind(node.parentElement) : backgroundColor;
  };
  const ratio = (node) => {
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && parent.checkVisibility()) texts.push([walker.currentNode.data, ratio(parent)]);
  }
  return { count: texts.length, faint: texts.filter(([, contrast]) => contrast < 4.5) };
})()`;

interface Texts {
  readonly count: number;
  readonly faint: readonly unknown[];
}

/** A page of which the test says what it shows. */
async function served(): Promise<PageServer> {
  const files = pageFiles(pathToFileURL(join(folder, 'monitor/web/page/')));
  const server = await PageServer.listen(0, { files, begin: () => news({ shot: shotOf(leaking(), 'a:1') }) });
  onTestFinished(() => server.close());
  return server;
}

const news = (some: Partial<News>): News => ({ points: [], entries: [], note: '', isLost: false, ...some });

describe('its sources', () => {
  const files = readdirSync(join(import.meta.dirname, '../../../src/monitor/web/page'), { withFileTypes: true });
  const sources = files.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), 'utf8')] as const);

  it('make markup of nothing that comes', () => {
    const markup =
      /innerHTML|outerHTML|insertAdjacentHTML|setHTML|parseFromString|createContextualFragment|document\.write|\beval\b|Function\(/;
    expect(sources.length).toBeGreaterThan(8);
    expect(sources.filter(([, text]) => markup.test(text)).map(([name]) => name)).toEqual([]);
  });

  it('load nothing from elsewhere, and have no script or style in the markup', () => {
    const html = sources.find(([name]) => name === 'index.html')?.[1] ?? '';
    expect(html).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]* src=)/);
    const outside = sources.flatMap(([name, text]) =>
      /(?:https?:)?\/\/[a-z]/.test(text.replaceAll('http://www.w3.org/2000/svg', '')) ? [name] : [],
    );
    expect(outside).toEqual([]);
  });
});

describe.skipIf(lacksChromium)(`the look of its page${lacksChromium ? `: ${lacksChromium}` : ''}`, { timeout: 90_000 }, () => {
  const open = useBrowser();

  /** With something in every part of it. */
  async function openBusy(): Promise<Page> {
    const env = ownFolder();
    const { url } = await watch(folder, redis().url, env);
    startLeaking(folder, redis().url, env, { max: 40, scope: 'a-scope-with-a-long-name:'.repeat(5) });
    const { page } = await open(url);
    await has(page.locator('#verdict'), 'GROWING');
    await has(page.locator('#log'), 'is full');
    return page;
  }

  it('can be read by all, light and dark, and fits into 360 pixels', async () => {
    const page = await openBusy();
    await page.locator('#places summary').first().click();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const { count, faint } = (await page.evaluate(FAINT_TEXTS)) as Texts;
      expect([colorScheme, count > 60, faint]).toEqual([colorScheme, true, []]);
    }
    for (const width of [360, 768, 1_920]) {
      await page.setViewportSize({ width, height: 740 });
      await until(() => page.evaluate(`[...document.querySelectorAll('canvas')].every((canvas) => canvas.clientWidth < ${width})`));
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    }
    await page.setViewportSize({ width: 360, height: 740 });
    // What is too wide can be scrolled by itself, also with the keyboard.
    const scrolls = `((node) => node.scrollWidth > node.clientWidth && node.tabIndex === 0)(document.querySelector('#places .scroll'))`;
    expect(await page.evaluate(scrolls)).toBe(true);
  });

  it('has texts to be read, also in what it says when something is wrong', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const entries = (['good', 'bad', 'neutral'] as const).map((mood) => ({ atMs: 0, mood, text: mood }));
    const shot = shotOf(leaking(), 'a:1');
    const rows = (['up', 'degraded', 'down', 'unknown'] as const).map((health) => ({
      ...{ process: '1', pool: health, scope: 's', inUse: 1, idle: 1, pending: 1, timeouts: 1, leaked: 1, max: 1, health },
      error: 'an error',
    }));
    server.send('news', news({ entries, note: 'the connection is lost', shot: { ...shot, pools: { rows, count: 9 } } }));
    await has(page.locator('#note'), 'the connection is lost');
    await page.keyboard.press('p');
    for (const state of ['paused', 'reconnecting']) {
      if (state === 'reconnecting') server.close();
      await has(page.locator('#state'), state);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect([state, colorScheme, ((await page.evaluate(FAINT_TEXTS)) as Texts).faint]).toEqual([state, colorScheme, []]);
      }
    }
  });

  it('does not show as current what was before the connection was lost, light and dark', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const verdict = page.locator('#verdict');
    const colours = async (colorScheme: 'light' | 'dark') => {
      await page.emulateMedia({ colorScheme });
      return page.evaluate(`['verdict', 'clients', 'state'].map((id) => getComputedStyle(document.getElementById(id)).color)`);
    };
    const live = [await colours('light'), await colours('dark')];
    server.send('news', news({ isLost: true, note: 'connection lost, trying again' }));
    await has(page.locator('#state'), /^the connection to Redis is lost: these figures are old$/);
    await has(verdict, /^UNKNOWN, was GROWING \+\d+ in \d+ s$/);
    expect(await page.title()).toMatch(/^UNKNOWN, was GROWING/);
    expect(await textOf(page.locator('#now'))).toBe('Before');
    // Whoever has paused it learns of it, too.
    await page.keyboard.press('p');
    expect(await textOf(page.locator('#state'))).toMatch(/^the connection to Redis is lost/);
    for (const [colorScheme, soft, bad] of [
      ['light', 'rgb(87, 96, 107)', 'rgb(179, 38, 30)'],
      ['dark', 'rgb(163, 173, 184)', 'rgb(255, 143, 133)'],
    ] as const) {
      expect([colorScheme, await colours(colorScheme)]).toEqual([colorScheme, [soft, soft, bad]]);
      expect(((await page.evaluate(FAINT_TEXTS)) as Texts).faint).toEqual([]);
    }
    await page.keyboard.press('p');
    server.send('news', news({ note: 'connected again', shot: shotOf(leaking(), 'a:1') }));
    await has(page.locator('#state'), /^live$/);
    await has(verdict, /^GROWING/);
    expect([await page.title(), await textOf(page.locator('#now'))]).toEqual([expect.stringMatching(/^GROWING/), 'Now']);
    expect([await colours('light'), await colours('dark')]).toEqual(live);
  });

  it('shows the figures beside a name or a message that is long', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const shot = shotOf(leaking(INSIDE), 'a:1');
    const names = { rows: shot.names.rows.map((row) => ({ ...row, name: `${'x'.repeat(199)}${row.name}` })), count: 3 };
    const pools = { rows: shot.pools.rows.map((row) => ({ ...row, error: 'an error '.repeat(50) })), count: 2 };
    server.send('news', news({ shot: { ...shot, names, pools } }));
    await has(page.locator('#pools'), 'an error');
    const tooWide = `['#names', '#pools'].filter((id) => ((node) => node.scrollWidth > node.clientWidth)(document.querySelector(id + ' .scroll')))`;
    expect(await page.evaluate(tooWide)).toEqual([]);
  });

  it('shows of a pool which acquires waited in vain, and which leases leaked', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const pools = [poolRow({ pool: 'bad', inUse: 2, idle: 3, pending: 4, timeouts: 51, leaked: 62 }), poolRow({ pool: 'good' })];
    server.send('news', news({ shot: shotOf(leaking({ ...INSIDE, pools }), 'a:1') }));
    await has(page.locator('#pools tbody'), 'bad');
    const cellsOf = async (row: string) => (await page.locator(`#pools ${row}`).allInnerTexts()).map((text) => text.split('\t'));
    const [heads = []] = await cellsOf('thead tr');
    const figures = (cells: readonly string[]) => ['pool', 'waiting', 'timeouts', 'leaked'].map((head) => cells[heads.indexOf(head)]);
    expect((await cellsOf('tbody tr')).map(figures)).toEqual([
      ['bad', '4', '51', '62'],
      ['good', '0', '0', '0'],
    ]);
  });

  it('draws its charts anew when the colours change', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const drawn = () =>
      page.evaluate(`[...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL()).join()`) as Promise<string>;
    server.send('news', news({ points: Array.from({ length: 20 }, (_, index) => [index * 1_000, index, index, 1] as const) }));
    await until(async () => (await page.locator('#opened-chart').getAttribute('aria-label'))?.includes('19 now'));
    await page.waitForFunction('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true))))');
    const light = await drawn();
    await page.emulateMedia({ colorScheme: 'dark' });
    await until(async () => (await drawn()) !== light);
    await page.emulateMedia({ colorScheme: 'light' });
    await until(async () => (await drawn()) === light);
  });

  it('keeps the end of a long time, and no more', async () => {
    const server = await served();
    const { page } = await open(server.url);
    const chart = page.locator('#opened-chart');
    for (let first = 0; first < MOST_POINTS + 1_000; first += 500) {
      const points = Array.from({ length: 500 }, (_, index) => [(first + index) * 1_000, first + index, 1, 0] as const);
      const entries = points.map(([atMs, value]) => ({ atMs, mood: 'neutral', text: `entry ${value}` }) as const);
      server.send('news', news({ points, entries }));
    }
    const [last, begin] = [MOST_POINTS + 1_400 - 1, 1_400];
    await until(
      async () =>
        (await chart.getAttribute('aria-label')) ===
        `opened: ${grouped(last)} now, ${grouped(begin)} at the beginning, ${grouped(last)} at the most`,
    );
    expect(await page.locator('#entries li').count()).toBe(MOST_ENTRIES);
    expect(await page.locator('#entries li').first().textContent()).toContain(`entry ${last}`);
  });

  it('leaves alone what does not change', async () => {
    const server = await served();
    const { page } = await open(server.url);
    await page.evaluate(`
      globalThis.changes = 0;
      new MutationObserver((list) => { globalThis.changes += list.length; }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true });
    `);
    server.send('news', news({ shot: shotOf(leaking(), 'a:1'), points: [[1_000, 7, 7, 7]] }));
    await until(async () => (await page.locator('#opened-chart').getAttribute('aria-label'))?.includes('7 now'));
    expect(await page.evaluate('globalThis.changes')).toBe(0);
    expect(await page.locator('#names tbody tr').first().textContent()).toContain('sp:shop-api:leaky');
  });
});

const grouped = (value: number) => new Intl.NumberFormat('en').format(value);
