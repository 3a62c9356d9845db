import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { poolOn, slotOnTheMove, useCluster } from './support.ts';

// As behind a proxy or a NAT: nodes say of each other the port alone.
const cluster = useCluster({ args: ['--cluster-preferred-endpoint-type', 'unknown-endpoint'] });

describe('a node that does not say the host of another', () => {
  it('means its own, when it sends a command on', async () => {
    const pool = poolOn(cluster());
    const { key, to, begin, move } = await slotOnTheMove(cluster(), 'nameless');
    await withRoot(async () => {
      await pool.set(key(1), 'text');
      await begin();
      await move(key(1));
      const refused = await cluster()
        .observer(cluster().homeOf('nameless'))
        .get(key(1))
        .catch((error: Error) => error.message);
      expect(refused).toMatch(/^ASK \d+ :\d+$/);
      expect(await pool.get(key(1))).toBe('text');
      expect(Object.keys(pool.inspect().nodes)).toContain(`${to.host}:${to.port}`);
      expect(Object.keys(pool.inspect().nodes)).not.toContain(`:${to.port}`);
    });
  });
});
