import { inspect } from 'node:util';
import { withRoot } from 'scoped-pool';
import type { RedisPoolOptions } from 'scoped-pool/redis';
import { beforeEach, describe, expect, it } from 'vitest';
import { eventsOf, NAMES, published } from '../support/events.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

const SECRET = 'hunter2-not-shown';

const redis = useRedis({ fresh: true });
beforeEach(async () => {
  await redis().observer.acl('SETUSER', 'alice', 'reset', 'on', `>${SECRET}`, '~mine:*', '&*', '+@all', '-flushall');
  await redis().empty();
});

const byOptions = (username = 'alice', password = SECRET) => ({
  url: undefined,
  host: redis().server.host,
  port: redis().server.port,
  username,
  password,
});
const byUrl = (username = 'alice', password = SECRET) => ({
  url: `redis://${username}:${password}@${redis().server.host}:${redis().server.port}`,
});
const WAYS: readonly (readonly [string, (username?: string, password?: string) => RedisPoolOptions])[] = [
  ['options', byOptions],
  ['the URL', byUrl],
];

describe.each(WAYS)('a user whom %s name', (_, as) => {
  it('is who sends every command', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), as());
      expect(await Promise.all([pool.acl('WHOAMI'), pool.use((connection) => connection.acl('WHOAMI'))])).toEqual(['alice', 'alice']);
    });
  });

  it.each([
    ['that nobody is', 'nobody', SECRET],
    ['with a wrong password', 'alice', `${SECRET}-wrong`],
  ])('%s is told so at once', async (__, username, password) => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...as(username, password), connectTimeoutMs: 600_000, acquireTimeoutMs: 600_000 });
      expect(await errorOf(() => pool.get('mine:a'))).toMatchObject({
        code: 'ERR_POOL_UNAVAILABLE',
        cause: { name: 'ReplyError', message: expect.stringMatching(/^WRONGPASS/) },
      });
      expect(await errorOf(() => pool.use(() => {}))).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
    });
  });
});

describe('a command that the user may not send', () => {
  it('fails with the words of the server and costs no connection', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...byUrl(), max: 1 });
      const refused = { name: 'ReplyError', message: expect.stringMatching(/^NOPERM/) };
      expect(await errorOf(() => pool.set('yours:a', 1))).toMatchObject(refused);
      expect(await errorOf(() => pool.flushall())).toMatchObject(refused);
      const [, [error]] = (await pool.pipeline().set('mine:a', 1).set('yours:a', 1).exec()) as unknown as [unknown, [Error]];
      expect(error).toMatchObject(refused);
      expect(await errorOf(() => pool.multi().set('yours:a', 1).exec())).toMatchObject({ message: expect.stringMatching(/^EXECABORT/) });
      expect(await errorOf(() => pool.use((connection) => connection.get('yours:a')))).toMatchObject(refused);
      expect(await pool.get('mine:a')).toBe('1');
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it.each(['ping', 'info', 'client'])('may be %s, which is sent to ask or to tell who we are', async (command) => {
    await redis().observer.acl('SETUSER', 'alice', `-${command}`);
    await redis().observer.acl('LOG', 'RESET');
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...byUrl(), max: 1, keepaliveMs: 1 });
      expect(await pool.set('mine:a', 1)).toBe('OK');
      await until(async () => command !== 'ping' || String(await redis().observer.acl('LOG')).includes('ping'));
      expect(await pool.incr('mine:a')).toBe(2);
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });
});

describe('a user whose rights end', () => {
  it('loses the connections, and is told why there are no others until the user is back', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...byUrl(), max: 2 });
      await pool.set('mine:a', 1);
      const stuck = errorOf(() => pool.blpop('mine:list', 0));
      await until(() => pool.stats().exclusive === 1);
      await until(async () => (await redis().clients('sp:')).some(({ flags }) => flags?.includes('b')));
      await redis().observer.acl('DELUSER', 'alice');
      expect(await stuck).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown' });
      await until(() => pool.stats().open === 0);
      expect(await errorOf(() => pool.get('mine:a'))).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
      await redis().observer.acl('SETUSER', 'alice', 'reset', 'on', `>${SECRET}`, '~mine:*', '+@all');
      await until(() => pool.get('mine:a'));
    });
  });

  it('keeps what is open when the password changes, and gets no more', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...byUrl(), max: 2 });
      await pool.set('mine:a', 1);
      await redis().observer.acl('SETUSER', 'alice', 'resetpass', '>another');
      expect(await pool.get('mine:a')).toBe('1');
      const lease = await pool.acquire();
      const error = await errorOf(() => pool.acquire({ acquireTimeoutMs: 300 }));
      expect(error.message).toMatch(/WRONGPASS/);
      lease.release();
      await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal');
      await until(() => pool.stats().open === 0);
      expect(await errorOf(() => pool.get('mine:a'))).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
    });
  });
});

describe('a password', () => {
  it.each(WAYS)('is shown nowhere, given by %s', async (_, as) => {
    const all = published(...NAMES);
    const heard: unknown[] = [];
    await withRoot(async (root) => {
      const right = poolOn(redis(), as());
      const wrong = poolOn(redis(), as('alice', `${SECRET}-wrong`));
      const lease = await right.acquire();
      heard.push(await errorOf(() => right.flushall()), await errorOf(() => wrong.get('mine:a')));
      heard.push(right.inspect(), wrong.inspect(), right.stats(), wrong.stats(), root.tree());
      lease.release();
    });
    expect(new Set(eventsOf(all)).size).toBeGreaterThan(10);
    const shown = [...heard, ...all].map(
      (each) => `${inspect(each, { depth: 20, showHidden: true, getters: true })}${(each as Error).stack}`,
    );
    expect(shown.filter((text) => text.includes(SECRET))).toEqual([]);
  });
});
