import { expect, it } from 'vitest';
import { lacksChromium } from '../../support/chromium.ts';
import { useCompiledPage } from '../../support/compiled.ts';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { startMonitor } from '../child.ts';
import { processorMs, useCrowd } from '../crowd.ts';
import { has, ownFolder, PATIENCE, useBrowser } from './support.ts';

const CLIENTS = 5_000;
/** Of the monitor. Measured were 40 to 60, on a machine with two cores. */
const MOST_MS_PER_SECOND = 250;
/** Of the page, for one sample. Measured were 20. */
const MOST_MS_PER_SAMPLE = 100;

/** Asked of the page once, where polling it would be part of what is measured. */
const NEXT_SAMPLE = `new Promise((resolve) => {
  const observer = new MutationObserver(() => { observer.disconnect(); resolve(); });
  observer.observe(document.getElementById('server'), { childList: true, characterData: true, subtree: true });
})`;

const folder = useCompiledPage();
const redis = useRedis({ fresh: true, args: ['--maxclients', '6000'] });
const gather = useCrowd(redis);
const open = useBrowser();

const why = process.platform === 'linux' ? lacksChromium : 'its processor time is not known here';

it.skipIf(why)(`shows ${CLIENTS} names, at little cost${why ? `: ${why}` : ''}`, { timeout: 120_000 }, async () => {
  await gather(CLIENTS, (index) => `name-${index}`);
  const child = startMonitor(folder, [redis().url, '--web', '--port', '0'], ownFolder());
  const url = (await until(() => /^http:\S+(?=\n)/.exec(child.stdout())?.[0], PATIENCE)) ?? '';
  const { page, errors } = await open(url);
  await has(page.locator('#names .more'), 'and 4,802 names more');
  expect(await page.locator('#names tbody tr').count()).toBe(200);

  const devtools = await page.context().newCDPSession(page);
  // What it takes of a processor, not how long: the machine may have other work.
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busyMs = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return 1_000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN);
  };
  const [monitorMs, pageMs]: [number[], number[]] = [[], []];
  for (let sample = 0; sample < 11; sample++) {
    await page.evaluate(NEXT_SAMPLE);
    monitorMs.push(processorMs(child.process.pid ?? 0));
    pageMs.push(await busyMs());
  }
  expect(medianStep(monitorMs), `processor time of the monitor: ${monitorMs.join(', ')} ms`).toBeLessThan(MOST_MS_PER_SECOND);
  expect(medianStep(pageMs), `processor time of the page: ${pageMs.join(', ')} ms`).toBeLessThan(MOST_MS_PER_SAMPLE);

  await page.locator('#names th button', { hasText: 'connections' }).click();
  await has(page.locator('#names th[aria-sort]'), 'connections');
  expect(errors).toEqual([]);
});

/** The median of what was used from one of these times to the next. */
function medianStep(times: readonly number[]): number {
  const each = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
  return each.toSorted((a, b) => a - b)[Math.floor(each.length / 2)] ?? Number.NaN;
}
