import { AsyncLocalStorage } from 'node:async_hooks';
import { withRoot, withScope } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { poolOn } from './support.ts';

const redis = useRedis();

describe('a connection', () => {
  it('is named after service, pool and process', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { service: 'mailer' });
      await pool.ping();
      expect((await redis().clients('sp:mailer:')).map(({ name }) => name)).toEqual([`sp:mailer:${pool.name}:${process.pid}`]);
    });
  });

  it('has a name also when the service is called what Redis does not take', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { service: 'Größe 1\nzwei' });
      await pool.ping();
      expect(await pool.client('GETNAME')).toBe(`sp:Gr--e-1-zwei:${pool.name}:${process.pid}`);
    });
  });

  it('is forgotten by the server when the root has closed', async () => {
    for (let n = 0; n < 20; n++) {
      const pool = poolOn(redis());
      await withRoot(() => Promise.all([pool.ping(), pool.use((one) => pool.use((other) => Promise.all([one.ping(), other.ping()])))]));
      expect(await redis().clients(`sp:test:${pool.name}`)).toEqual([]);
    }
  });

  it('lives in no store of whoever needed it first', async () => {
    const storage = new AsyncLocalStorage<object>();
    await withRoot(async () => {
      const pool = poolOn(redis());
      const seen: unknown[] = [];
      const note = () => void seen.push(storage.getStore());
      const connection = await storage.run({}, () =>
        pool.use((lent) => {
          const { stream } = lent;
          for (const event of ['close', 'data']) stream.on(event, note);
          return lent;
        }),
      );
      await pool.ping();
      connection.stream.destroy();
      await until(() => pool.stats().closedBy.dead === 1);
      expect(seen.length).toBeGreaterThanOrEqual(2);
      expect(new Set(seen)).toEqual(new Set([undefined]));
    });
  });

  it('lets go of the store of the job that opened it, and of those that used it', async () => {
    const storage = new AsyncLocalStorage<object>();
    await withRoot(async () => {
      const pool = poolOn(redis());
      const refs: WeakRef<object>[] = [];
      const job = async () => {
        refs.push(new WeakRef(storage.getStore() as object));
        await Promise.all([pool.incr('n'), pool.use((connection) => connection.get('n')), pool.multi().get('n').exec()]);
        void pool.incr('n');
      };
      for (let n = 0; n < 5; n++) await storage.run({ n }, () => withScope(job));
      await until(() => {
        global.gc?.();
        return refs.every((ref) => ref.deref() === undefined);
      });
      expect(pool.stats()).toMatchObject({ created: 2, closed: 0 });
    });
  });
});
