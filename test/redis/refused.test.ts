import { Queue as Queue6, Worker as Worker6 } from 'bullmq';
import { Queue as Queue5, Worker as Worker5 } from 'bullmq-5';
import type { Redis } from 'ioredis';
import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { commandsDuring, errorOf, poolOn } from './support.ts';

const redis = useRedis();

/** What a connection can do that is shared with nobody, and a pool cannot. */
type Anything = Record<string, (...args: unknown[]) => Promise<unknown>>;

const REFUSED: [method: string, ...args: unknown[]][] = [
  ['multi', { pipeline: false }],
  ['watch', 'key'],
  ['unwatch'],
  ['discard'],
  ['select', 1],
  ['auth', 'secret'],
  ['hello', 3],
  ['reset'],
  ['quit'],
  ['monitor'],
  ['sync'],
  ['psync', '?', -1],
  ['subscribe', 'channel'],
  ['psubscribe', 'channel*'],
  ['ssubscribe', 'channel'],
  ['unsubscribe'],
  ['punsubscribe'],
  ['sunsubscribe'],
  ['subscribeBuffer', 'channel'],
  ['wait', 0, 1],
  ['readonly'],
  ['readwrite'],
  ['asking'],
  ['client', 'SETNAME', 'mine'],
  ['client', ['REPLY', 'OFF']],
  ['script', 'DEBUG', 'YES'],
  ['call', 'SELECT', 1],
  ['call', 'Subscribe', 'channel'],
  ['callBuffer', 'MONITOR'],
];

describe('a command that needs a lease of its own', () => {
  it.each(REFUSED)('is refused on the pool and on a shared lease, and not sent: %s %j', async (method, ...args) => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.ping();
      const seen = await commandsDuring(redis(), async () => {
        const error = await errorOf(() => (pool as unknown as Anything)[method]?.(...args));
        expect(error).toMatchObject({ code: 'ERR_COMMAND_REFUSED', message: expect.stringContaining('use(async (connection)') });
        const shared = await errorOf(() => pool.share((connection) => (connection as unknown as Anything)[method]?.(...args)));
        expect(shared.code).toBe('ERR_COMMAND_REFUSED');
      });
      expect(seen).toEqual([]);
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it('is refused as a rejection, also for whoever gives a callback', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      const given = await new Promise((resolve) => void (pool as unknown as Redis).select(1, (error) => resolve(error))?.catch(() => {}));
      expect(given).toMatchObject({ code: 'ERR_COMMAND_REFUSED' });
    });
  });

  it('says so of multi({ pipeline: false }) as it is written', async () => {
    await withRoot(async () => {
      const error = await errorOf(() => (poolOn(redis()) as unknown as Redis).multi({ pipeline: false }));
      expect(error.message).toContain('multi({ pipeline: false })');
      expect(error.message).not.toContain('FALSE');
    });
  });

  it.each([[[]], [[undefined, 'a']], [[5]], [['']], [[['GET', 'a']]]])(
    'is not call(...%j), which is a rejection all the same',
    async (args) => {
      await withRoot(async () => {
        const pool = poolOn(redis()) as unknown as Anything & { pipeline(): Record<string, (...args: unknown[]) => unknown> };
        const expected = /call\(\) takes the name of a command first, as a text/;
        for (const method of ['call', 'callBuffer']) {
          await expect(pool[method]?.(...args)).rejects.toThrow(expected);
          expect(() => pool.pipeline()[method]?.(...args)).toThrow(expected);
        }
      });
    },
  );

  it('also means a command that blocks, on a shared lease', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      expect((await errorOf(() => pool.share((connection) => connection.blpop('list', 1)))).code).toBe('ERR_COMMAND_REFUSED');
      expect((await errorOf(() => pool.share((connection) => connection.xread('BLOCK', 1, 'STREAMS', 's', '$')))).code).toBe(
        'ERR_COMMAND_REFUSED',
      );
      expect(await pool.share((connection) => connection.xread('STREAMS', 'block', '0'))).toBeNull();
    });
  });

  it('also means to disconnect, which would cut off the others', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      for (const method of ['disconnect', 'end'] as const) {
        expect((await errorOf(() => pool.share((connection) => connection[method]()))).code).toBe('ERR_COMMAND_REFUSED');
      }
      expect(await pool.ping()).toBe('PONG');
      expect(pool.stats().created).toBe(1);
    });
  });

  it('is fine on an exclusive lease', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis());
      await pool.use(async (connection) => {
        expect(await connection.select(1)).toBe('OK');
        expect(await connection.client('SETNAME', 'mine')).toBe('OK');
        expect(await connection.wait(0, 1)).toBe(0);
        expect(await connection.quit()).toBe('OK');
      });
      expect(await pool.ping()).toBe('PONG');
    });
  });
});

describe.each([
  ['a Queue of bullmq', (connection: object) => new Queue6('q', { connection })],
  ['a Worker of bullmq', (connection: object) => new Worker6('q', async () => {}, { connection })],
  ['a Queue of bullmq 5', (connection: object) => new Queue5('q', { connection })],
  ['a Worker of bullmq 5', (connection: object) => new Worker5('q', async () => {}, { connection })],
])('given to %s', (_, make) => {
  it('a pool throws ERR_NOT_A_CONNECTION at once and opens nothing', async () => {
    const before = await redis().connectionsReceived();
    const error = await errorOf(() => make(poolOn(redis())));
    expect(error.code).toBe('ERR_NOT_A_CONNECTION');
    expect((await errorOf(() => withRoot(() => make(poolOn(redis()))))).code).toBe('ERR_NOT_A_CONNECTION');
    await redis().observer.ping();
    expect(await redis().connectionsReceived()).toBe(before);
  });
});
