import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../../dev/server-process.ts';
import { lacksChromium } from '../../support/chromium.ts';
import { useCompiledPage } from '../../support/compiled.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { startMonitor } from '../child.ts';
import { has, ownFolder, PATIENCE, startLeaking, textOf, useBrowser, watch } from './support.ts';

const folder = useCompiledPage();
const redis = useRedis({ fresh: true });
const serve = (env: NodeJS.ProcessEnv) => watch(folder, redis().url, env);

function connect(connectionName: string): Redis {
  const connection = new Redis(redis().url, { connectionName, retryStrategy: () => null });
  connection.on('error', () => {});
  onTestFinished(() => connection.disconnect());
  return connection;
}

describe('scoped-pool monitor --web', () => {
  it('prints where its page is, serves all that this needs, and ends in order while somebody reads', async () => {
    const { child, url } = await serve(ownFolder());
    const html = await (await fetch(url)).text();
    const needed = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path);
    expect(needed).toHaveLength(5);
    for (const path of needed) expect([path, (await fetch(new URL(path, url))).status]).toEqual([path, 200]);
    const script = await (await fetch(new URL('main.js', url))).text();
    for (const [, path = ''] of script.matchAll(/from '([^']+)'/g)) expect((await fetch(new URL(path, url))).status).toBe(200);
    for (const path of ['uPlot.LICENSE.txt', 'messages.d.ts', '../server.js']) expect((await fetch(new URL(path, url))).status).toBe(404);
    const events = await fetch(new URL('events', url));
    const ended = events.text().catch(() => 'cut off');
    child.process.kill('SIGTERM');
    expect([await child.ended, child.stdout(), child.stderr()]).toEqual([143, `${url}\n`, '']);
    await ended;
    await until(async () => (await redis().clients('sp:monitor')).length === 0);
  });

  it('ends with 2 where it cannot listen, and with 3 where there is no server', async () => {
    const { url } = await serve(ownFolder());
    const second = startMonitor(folder, [redis().url, '--web', '--port', new URL(url).port]);
    expect([await second.ended, second.stdout()]).toEqual([2, '']);
    expect(second.stderr()).toMatch(/--port must be a port of 127\.0\.0\.1 on which one can listen \(EADDRINUSE\), or 0 for any/);
    const nobody = startMonitor(folder, [`redis://127.0.0.1:${await freePort()}`, '--web', '--port', '0']);
    expect([await nobody.ended, nobody.stdout(), nobody.stderr()]).toEqual([3, '', expect.stringContaining('nothing listens there')]);
  });
});

describe.skipIf(lacksChromium)(`its page${lacksChromium ? `: ${lacksChromium}` : ''}`, { timeout: 90_000 }, () => {
  const open = useBrowser();
  const rowsOf = (page: Page, id: string) => page.locator(`#${id} tbody tr`).allInnerTexts();

  it('finds who leaks by name and by line within 10 s', async () => {
    const env = ownFolder();
    const { page, errors } = await open((await serve(env)).url);
    expect(await textOf(page.locator('#places .empty'))).toContain('node --import scoped-pool/inspect/register app.js');
    const file = startLeaking(folder, redis().url, env);
    const beganAt = performance.now();
    await has(page.locator('#names tbody tr').first(), /^sp:leaky:jobs\s+[1-9]/);
    await has(page.locator('#places tbody tr').first(), new RegExp(`${file}:4:\\d+\\s+[1-9].*\\bjobs\\s+leaking\\s`, 's'));
    expect(performance.now() - beganAt).toBeLessThan(10_000);
    await has(page.locator('#pools tbody tr').first(), /^jobs\s+up\s+\d+ of 1000\s+0\s+0\s+0\s+0\s+leaking\s/);
    await has(page.locator('#verdict'), /^GROWING \+\d+ in \d+ s$/);
    // Ten for the verdict, and what a loaded machine takes to start a process.
    expect(performance.now() - beganAt).toBeLessThan(15_000);
    await has(page.locator('#log'), `${file}:4`);
    await has(page.locator('#openings tbody tr').first(), new RegExp(`${file}:5:\\d+\\s+1\\s+[01]\\s+\\d+s ago\\s+127`));
    await page.locator('#places summary').first().click();
    expect(await textOf(page.locator('#places pre').first())).toMatch(new RegExp(`^leak \\(${file}:4:\\d+\\)`));
    expect(await textOf(page.locator('#places pre').first())).toMatch(/^held exclusively for \d+s by scope .*, process \d+$/m);
    // It stays open while its row goes on changing.
    const before = await textOf(page.locator('#places tbody tr').first());
    await until(async () => (await textOf(page.locator('#places tbody tr').first())) !== before);
    expect(await page.locator('#places pre').first().isVisible()).toBe(true);
    expect(await page.title()).toMatch(/^GROWING \+\d+ in \d+ s · 127\.0\.0\.1:\d+$/);
    expect(await page.locator('#opened-chart').getAttribute('aria-label')).toMatch(
      /^opened: \d+ now, 0 at the beginning, \d+ at the most$/,
    );
    expect(errors).toEqual([]);
  });

  it('says that a pool is full, and shows what comes as text, without credentials', async () => {
    const env = ownFolder();
    const scope = '<img src=x class=injected onerror=alert(1)> redis://ann:hunter2@host';
    const { url } = await serve(env);
    startLeaking(folder, redis().url, env, { max: 3, scope });
    await connect('<img/src=x/class=injected>').ping();
    const { page, errors } = await open(url);
    await has(page.locator('#names'), '<img/src=x/class=injected>');
    await has(page.locator('#pools'), '<img src=x class=injected onerror=alert(1)> redis://***@host');
    await has(page.locator('#log'), /pool jobs of <img .* is full: 3 of 3 in use, \d+ waiting/);
    expect(await page.locator('.injected').count()).toBe(0);
    expect(await page.content()).not.toContain('hunter2');
    expect(errors).toEqual([]);
  });

  it('says that the connection to Redis is lost and is there again, and begins anew', async () => {
    const { url } = await serve(ownFolder());
    const { page } = await open(url);
    await redis().server.kill('SIGKILL');
    await has(page.locator('#note'), 'connection lost, trying again');
    await has(page.locator('#state'), 'the connection to Redis is lost');
    await has(page.locator('#verdict'), /^UNKNOWN, was WATCHING$/);
    // A page that is opened now knows of it.
    const { page: meanwhile } = await open(url, 'the connection to Redis is lost');
    await has(meanwhile.locator('#verdict'), /^UNKNOWN, was WATCHING$/);
    await redis().server.restart();
    await has(page.locator('#log li').first(), 'connected again: the server was restarted; counts begin anew');
    for (const each of [page, meanwhile]) {
      await has(each.locator('#verdict'), /^WATCHING$/);
      await has(each.locator('#state'), /^live$/);
    }
    // A page that is opened later knows of it.
    const { page: later } = await open(url);
    expect(await textOf(later.locator('#log'))).toMatch(/connected again[\s\S]*connection lost/);
    expect(await later.locator('#log').getAttribute('aria-live')).toMatch(/^(?:off|polite)$/);
  });

  it('says when the monitor stands still or has ended, and finds the next one at its place', async () => {
    const first = await serve(ownFolder());
    const { page } = await open(first.url);
    first.child.process.kill('SIGSTOP');
    await has(page.locator('#state'), 'the monitor is silent');
    first.child.process.kill('SIGCONT');
    await has(page.locator('#state'), /^live$/);
    first.child.process.kill('SIGKILL');
    await has(page.locator('#state'), 'reconnecting… Has the monitor ended?');
    expect(await page.locator('body').getAttribute('class')).toBe('stale');
    startMonitor(folder, [redis().url, '--web', '--port', new URL(first.url).port], ownFolder());
    await has(page.locator('#state'), /^live$/);
    expect(await page.locator('body').getAttribute('class')).toBe('');
  });

  it('finds the next monitor also after somebody else has answered at its place', async () => {
    const first = await serve(ownFolder());
    const { page } = await open(first.url);
    first.child.process.kill('SIGKILL');
    await first.child.ended;
    const { hostname, port } = new URL(first.url);
    let asked = 0;
    const other = createServer((_, response) => {
      asked++;
      response.writeHead(404, { connection: 'close' }).end();
    });
    onTestFinished(() => void other.close());
    other.listen(Number(port), hostname);
    await until(() => asked > 0, PATIENCE);
    other.close();
    startMonitor(folder, [redis().url, '--web', '--port', port], ownFolder());
    await has(page.locator('#state'), /^live$/);
  });

  it('is used with the keyboard alone', async () => {
    const { url } = await serve(ownFolder());
    await Promise.all(['b', 'a', 'a'].map((name) => connect(name).ping()));
    const { page } = await open(url);
    await has(page.locator('#names'), /^a\s+2/m);
    await page.keyboard.press('p');
    await has(page.locator('#state'), 'paused');
    const watched = await textOf(page.locator('#server'));
    await connect('later').ping();
    const { page: other } = await open(url);
    await has(other.locator('#names'), 'later');
    expect(await textOf(page.locator('#server'))).toBe(watched);
    expect(await textOf(page.locator('#names'))).not.toContain('later');
    // The first stop is the button, which does the same.
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.id')).toBe('pause');
    await page.keyboard.press('Enter');
    await has(page.locator('#names'), 'later');

    const focused = () => page.evaluate('document.activeElement.textContent');
    await until(async () => {
      await page.keyboard.press('Tab');
      return (await focused()) === 'name';
    });
    await page.keyboard.press('Space');
    const sorted = page.locator('#names th[aria-sort]');
    expect([await sorted.count(), await textOf(sorted), await sorted.getAttribute('aria-sort')]).toEqual([1, 'name', 'ascending']);
    const names = async () => (await rowsOf(page, 'names')).map((row) => row.split('\t')[0] ?? '');
    await until(async () => (await names()).join() === (await names()).toSorted().join());
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await sorted.getAttribute('aria-sort')).toBe('descending');
    expect((await rowsOf(page, 'names'))[0]).toMatch(/^a\s+2/);
    // A ring shows where one is.
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
  });
});
