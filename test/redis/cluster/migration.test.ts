import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { errorOf } from '../support.ts';
import { poolOn, slotOnTheMove, useCluster } from './support.ts';

const cluster = useCluster();

describe('while a slot goes to another node', () => {
  it('each command is executed once, wherever its key is by then', async () => {
    const pool = poolOn(cluster());
    const { key, to, begin, move, end } = await slotOnTheMove(cluster(), 'moving');
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    const wrong: unknown[] = [];
    let sent = 0;
    await withRoot(async () => {
      let goesOn = true;
      const increment = async (n: number) => {
        for (let expected = 1; goesOn || expected < 3; expected++) {
          sent++;
          const reply = await pool.incr(key(n)).catch((error: unknown) => error);
          if (reply !== expected) wrong.push(reply);
        }
      };
      const work = Promise.all(numbers.map(increment));
      try {
        await begin();
        for (const n of numbers) {
          // A key that is not there yet is made on the other node, where it must not be overwritten.
          await until(async () => (await pool.exists(key(n))) === 1);
          await move(key(n));
        }
        await end();
        const before = sent;
        await until(() => sent > before + 500);
      } finally {
        goesOn = false;
        await work;
      }
      expect(wrong).toEqual([]);
      expect(
        await cluster()
          .observer(to)
          .exists(...numbers.map(key)),
      ).toBe(numbers.length);
    });
  });

  it('a lease of its key follows it, when one has been sent back', async () => {
    const pool = poolOn(cluster());
    const { key, from, to, begin, move, end } = await slotOnTheMove(cluster(), 'followed');
    const portOf = () => pool.use((connection) => connection.options.port, { key: key(1) });
    await withRoot(async () => {
      await pool.set(key(1), 'text');
      expect(await portOf()).toBe(from.port);
      await begin();
      await move(key(1));
      const asked = await errorOf(() => pool.use((connection) => connection.get(key(1)), { key: key(1) }));
      expect(asked).toMatchObject({ outcome: 'rejected', cause: { message: expect.stringMatching(/^ASK /) } });
      await end();
      const moved = await errorOf(() => pool.use((connection) => connection.get(key(1)), { key: key(1) }));
      expect(moved).toMatchObject({ outcome: 'rejected', cause: { message: expect.stringMatching(/^MOVED /) } });
      expect(await portOf()).toBe(to.port);
      expect(await pool.use((connection) => connection.get(key(1)), { key: key(1) })).toBe('text');
    });
  });

  it('a batch is done by the node that has the slot then', async () => {
    const pool = poolOn(cluster());
    const { key, begin, end } = await slotOnTheMove(cluster(), 'batches');
    await withRoot(async () => {
      await pool.get(key(1));
      await begin();
      await end();
      expect(await pool.multi().set(key(1), 1).incr(key(1)).exec()).toEqual([
        [null, 'OK'],
        [null, 2],
      ]);
    });
  });

  it('a pipeline is done by the node that has the slot then', async () => {
    const pool = poolOn(cluster());
    const { key, begin, end } = await slotOnTheMove(cluster(), 'pipelines');
    await withRoot(async () => {
      await pool.get(key(1));
      await begin();
      await end();
      expect(await pool.pipeline().set(key(1), 1).incr(key(1)).exec()).toEqual([
        [null, 'OK'],
        [null, 2],
      ]);
    });
  });

  it('a blocking command is unblocked, and waits on at the other node', async () => {
    const pool = poolOn(cluster());
    const { key, from, to, begin, end } = await slotOnTheMove(cluster(), 'blocking');
    const waitsAt = (node: typeof from) => until(async () => String(await cluster().observer(node).client('LIST')).includes('cmd=blpop'));
    await withRoot(async () => {
      const popped = pool.blpop(key(1), 0);
      await waitsAt(from);
      await begin();
      await end();
      await waitsAt(to);
      await pool.rpush(key(1), 'element');
      expect(await popped).toEqual([key(1), 'element']);
    });
  });
});
