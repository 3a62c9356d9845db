import { definePool, withRoot, withScope } from 'scoped-pool';
import { defineRedisPool } from 'scoped-pool/redis';
import { replacePool, withTestRoot } from 'scoped-pool/testing';
import { describe, expect, it } from 'vitest';
import { code } from '../scope/support.ts';

const created: object[] = [];
const pool = definePool('replaced', {
  max: 1,
  create: () => {
    const real = { ask: () => 'real' };
    created.push(real);
    return real;
  },
});
// Nothing listens there: whatever connects fails.
const redis = defineRedisPool('replaced-redis', { host: '127.0.0.1', port: 1, acquireTimeoutMs: 1_000 });

describe('replacePool', () => {
  it('lends the fake to use, share, acquire and acquireShared, and creates nothing', async () => {
    created.length = 0;
    const fake = { ask: () => 'fake' };
    await withTestRoot(async () => {
      replacePool(pool, fake);
      expect(await pool.use((resource) => resource)).toBe(fake);
      expect(await withScope(() => pool.share((resource) => resource.ask()))).toBe('fake');
      for (const begin of [() => pool.acquire(), () => pool.acquireShared()]) {
        using lease = await begin();
        expect(lease.resource).toBe(fake);
      }
    });
    expect(created).toEqual([]);
  });

  it('keeps the limits of the pool', async () => {
    await withTestRoot(async () => {
      replacePool(pool, { ask: () => 'fake' });
      using _ = await pool.acquire();
      await expect(pool.acquire({ acquireTimeoutMs: 1 })).rejects.toEqual(code('ERR_POOL_ACQUIRE_TIMEOUT'));
    });
  });

  it('leaves other roots alone', async () => {
    await withTestRoot(async () => {
      replacePool(pool, { ask: () => 'fake' });
      expect(await withRoot(() => pool.use((resource) => resource.ask()))).toBe('real');
      expect(await pool.use((resource) => resource.ask())).toBe('fake');
    });
    expect(await withTestRoot(() => pool.use((resource) => resource.ask()))).toBe('real');
  });

  it('does not end what it did not make', async () => {
    let disposals = 0;
    const disposable = definePool('replaced-disposable', { create: () => ({ [Symbol.dispose]: () => {} }) });
    await withTestRoot(async () => {
      replacePool(disposable, { [Symbol.dispose]: () => void disposals++ });
      await disposable.use(() => {});
    });
    expect(disposals).toBe(0);
  });

  it('reaches the pool that has taken the name since', async () => {
    const first = definePool('replaced-again', { max: 1, create: () => 'real' as string | object });
    const warned = new Promise((resolve) => process.once('warning', resolve));
    const second = definePool('replaced-again', { max: 2, create: () => 'real' as string | object });
    await warned;
    const fake = {};
    await withTestRoot(async () => {
      replacePool(first, fake);
      expect([await first.use((it) => it), await second.use((it) => it)]).toEqual([fake, fake]);
    });
  });

  it('is refused once the root has used the pool, and a second time', async () => {
    const inUse = expect.objectContaining({ code: 'ERR_POOL_IN_USE', message: expect.stringContaining('withTestRoot()') });
    await withTestRoot(async () => {
      await pool.use(() => {});
      expect(() => replacePool(pool, {})).toThrow(inUse);
    });
    await withTestRoot(() => {
      replacePool(pool, {});
      expect(() => replacePool(pool, {})).toThrow(inUse);
    });
  });

  it('is refused outside a scope, and for what is no object', async () => {
    expect(() => replacePool(pool, {})).toThrow(code('ERR_NO_SCOPE'));
    await withTestRoot(() => {
      expect(() => replacePool(pool, Object('fake').valueOf())).toThrow(code('ERR_INVALID_OPTION'));
    });
  });
});

describe('replacePool of a Redis pool', () => {
  it('serves plain commands, use and multi', async () => {
    const calls: unknown[] = [];
    await withTestRoot(async () => {
      const batch = { incr: (key: string) => calls.push(['incr', key]), exec: async () => [[null, 1]] };
      replacePool(redis, { get: async (key: string) => `value of ${key}`, multi: () => batch });
      expect(await redis.get('a')).toBe('value of a');
      expect(await redis.use((connection) => connection.get('b'))).toBe('value of b');
      expect(await redis.multi().incr('n').exec()).toEqual([[null, 1]]);
    });
    expect(calls).toEqual([['incr', 'n']]);
  });

  it('keeps `this` for a fake that is a class', async () => {
    class Memory {
      readonly #values = new Map<string, string>();
      async set(key: string, value: string) {
        this.#values.set(key, value);
        return 'OK' as const;
      }
      async get(key: string) {
        return this.#values.get(key) ?? null;
      }
    }
    await withTestRoot(async () => {
      replacePool(redis, new Memory());
      await redis.set('a', '1');
      expect(await redis.get('a')).toBe('1');
    });
  });

  it('rejects a command that the fake does not have', async () => {
    await withTestRoot(async () => {
      replacePool(redis, { get: async () => null });
      const rejected = expect.objectContaining({
        code: 'ERR_FAKE_INCOMPLETE',
        message: expect.stringMatching(/"replaced-redis".*no incr\(\)/),
      });
      await expect(redis.incr('n')).rejects.toEqual(rejected);
    });
  });
});
