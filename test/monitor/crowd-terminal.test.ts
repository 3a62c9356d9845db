import { describe, expect, it } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { processorMs, useCrowd } from './crowd.ts';
import { canScript, linesOf, onTerminal } from './on-terminal.ts';

const CLIENTS = 5_000;
const PATIENCE = { timeoutMs: 20_000 };
/** Measured were 10 to 70, on a machine with two cores. What others use of them is not counted. */
const MOST_MS_PER_SECOND = 250;

const folder = useCompiled();

describe.skipIf(!canScript || process.platform !== 'linux')(`the picture of ${CLIENTS} clients, each with a name of its own`, () => {
  const redis = useRedis({ fresh: true, args: ['--maxclients', '6000'] });
  const gather = useCrowd(redis);

  it('is drawn each second at little cost, and obeys keys', { timeout: 120_000 }, async () => {
    await gather(CLIENTS, (index) => `sp:service-${index}:redis:${index}`);
    const { child, screen, press, pid } = await onTerminal(120, 50, { folder, url: redis().url, intervalMs: 1_000 });
    expect(screen()).toContain(`clients ${CLIENTS + 2}/6000`);
    const drawn = () => child.stdout().split('\x1b[H').length;
    const used: number[] = [];
    // The first seconds are those in which Node starts.
    for (const begun = drawn(); used.length < 9; ) {
      const pictures = begun + used.length + 1;
      await until(() => drawn() > pictures, PATIENCE);
      used.push(processorMs(pid));
    }
    const each = used.slice(1).map((ms, index) => ms - (used[index] ?? 0));
    const median = each.toSorted((a, b) => a - b)[Math.floor(each.length / 2)];
    expect(median, `processor time of each second: ${each.join(', ')} ms`).toBeLessThan(MOST_MS_PER_SECOND);
    for (const order of ['connections', 'age', 'growth']) {
      press('s');
      await until(() => screen().includes(`s sorts (${order})`), PATIENCE);
    }
    expect(linesOf(screen()).at(-1)).toMatch(/^and \d+ names more$/);
    press('q');
    expect(await child.ended).toBe(0);
  });
});
