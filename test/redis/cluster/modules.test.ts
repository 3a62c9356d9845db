import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { poolOn, useCluster } from './support.ts';

// Commands that ioredis knows as little as those of a module: one with the key first, one with the key elsewhere.
const cluster = useCluster({ args: ['--rename-command', 'set', 'my.set', '--rename-command', 'eval', 'my.eval'] });
const KEYS = Array.from({ length: 60 }, (_, n) => `k:${n}`);

/** How often the nodes have said or were asked something. */
async function count(section: string, pattern: RegExp): Promise<number> {
  const infos = await Promise.all(cluster().masters.map((node) => cluster().observer(node).info(section)));
  return infos.reduce((sum, info) => sum + Number(pattern.exec(info)?.[1] ?? 0), 0);
}

const redirections = () => count('errorstats', /errorstat_MOVED:count=(\d+)/);
const questions = () => count('commandstats', /cmdstat_cluster\|slots:calls=(\d+)/);

describe('a command that is not known here', () => {
  it('goes to the node of its first argument, in a pipeline, too', async () => {
    const pool = poolOn(cluster());
    await withRoot(async () => {
      const before = await redirections();
      for (const key of KEYS) {
        expect(await pool.call('MY.SET', key, 1)).toBe('OK');
        expect(await pool.pipeline().call('my.set', key, 2).get(key).exec()).toEqual([
          [null, 'OK'],
          [null, '2'],
        ]);
      }
      expect(await redirections()).toBe(before);
    });
  });

  it('goes where the first node sends it, and nobody is asked what is known', async () => {
    const pool = poolOn(cluster(), { retry: { maxAttempts: 1 } });
    await withRoot(async () => {
      await Promise.all(KEYS.map((key) => pool.get(key)));
      const [moved, asked] = [await redirections(), await questions()];
      // For several times as long as lies between two questions.
      const end = performance.now() + 500;
      let sent = 0;
      for (; performance.now() < end; sent++) {
        const key = KEYS[sent % KEYS.length] as string;
        expect(await pool.call('MY.EVAL', 'return KEYS[1]', 1, key)).toBe(key);
      }
      expect(await redirections()).toBeGreaterThan(moved);
      expect((await redirections()) - moved).toBeLessThanOrEqual(sent);
      expect(await questions()).toBe(asked);
    });
  });
});
