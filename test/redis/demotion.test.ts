import { withRoot } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';
import { afterEach, describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

// Own server: it becomes a replica.
const redis = useRedis({ fresh: true });
const demote = () => redis().observer.replicaof('127.0.0.1', 1);
const promote = () => redis().observer.replicaof('NO', 'ONE');
afterEach(promote);

const write = (pool: RedisPool) => errorOf(() => pool.use((connection) => connection.set('a', 1)));
const NEVER_AGAIN = { retry: { maxAttempts: 1 } };

describe('a connection to a server that has become a replica', () => {
  it('is replaced at the first write that it refuses, exclusive or shared', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...NEVER_AGAIN, max: 2 });
      await pool.use((connection) => connection.ping());
      await demote();
      expect(await write(pool)).toMatchObject({ outcome: 'rejected' });
      await until(() => pool.stats().closed === 1);
      expect(pool.stats().closedBy.dead).toBe(1);
    });
    await promote();
    await withRoot(async () => {
      const pool = poolOn(redis(), NEVER_AGAIN);
      await pool.ping();
      await demote();
      expect(await errorOf(() => pool.set('a', 1))).toMatchObject({ outcome: 'rejected' });
      await until(() => pool.stats().closedBy.dead === 1);
    });
  });

  it('is lent to nobody any more, and cuts off nobody who is on it', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...NEVER_AGAIN, max: 2 });
      await pool.share(async (connection) => {
        const id = await connection.client('ID');
        await demote();
        await errorOf(() => pool.set('a', 1));
        expect(await pool.client('ID')).not.toBe(id);
        expect(await connection.client('ID')).toBe(id);
      });
    });
  });

  it('stays while it only reads', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.ping();
      await demote();
      for (let n = 0; n < 5; n++) await pool.get('a');
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it('is not replaced again and again where the address leads to a replica', async () => {
    await demote();
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...NEVER_AGAIN, max: 1 });
      const begun = performance.now();
      for (let n = 0; n < 200; n++) await write(pool);
      const seconds = Math.ceil((performance.now() - begun) / 1_000);
      expect(pool.stats().created).toBeLessThanOrEqual(2 + seconds);
    });
  });

  it('says in the message of its end what the server said', async () => {
    await withRoot(async () => {
      const { CHANNELS } = await import('scoped-pool');
      const said: unknown[] = [];
      const note = (message: unknown) => void said.push(message);
      CHANNELS.connectionClosed.subscribe(note);
      const pool = poolOn(redis(), NEVER_AGAIN);
      await pool.ping();
      await demote();
      await write(pool);
      await until(() => said.length > 0);
      CHANNELS.connectionClosed.unsubscribe(note);
      expect(said[0]).toMatchObject({ pool: pool.name, reason: 'dead', error: { message: expect.stringContaining('READONLY') } });
    });
  });
});
