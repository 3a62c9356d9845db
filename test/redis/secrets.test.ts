import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { currentScope, withRoot } from 'scoped-pool';
import { inspectProcess, scopesText } from 'scoped-pool/inspect';
import { defineRedisPool, type RedisPool } from 'scoped-pool/redis';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { answering, listen, unknownCommand } from '../monitor/fake-server.ts';
import { useRedis } from '../support/redis.ts';
import { errorOf, poolOn } from './support.ts';

const SECRET = 'hunter2-not-shown';

const redis = useRedis({ fresh: true });
beforeAll(async () => {
  await redis().observer.acl('SETUSER', 'alice', 'on', '>right-one', '~*', '&*', '+@all');
});

const host = () => ({ host: redis().server.host, port: redis().server.port });
const asUrl = (password: string) => ({ url: `redis://alice:${password}@${redis().server.host}:${redis().server.port}/1` });

/** Everything that a log could show of an error, its cause included. */
function shown(value: unknown): string {
  return inspect(value, { depth: 20, showHidden: true, getters: true }) + JSON.stringify(value) + String((value as Error).stack);
}

describe('a wrong password', () => {
  it.each([
    ['url', () => asUrl(SECRET)],
    ['username and password', () => ({ url: undefined, ...host(), username: 'alice', password: SECRET })],
  ])('in %s fails at once with the words of the server, and shows no password', async (_, options) => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...options(), connectTimeoutMs: 600_000, acquireTimeoutMs: 600_000 });
      const before = await redis().connectionsReceived();
      const error = await errorOf(() => pool.get('a'));
      expect(error.code).toBe('ERR_POOL_UNAVAILABLE');
      expect(error.cause).toMatchObject({ name: 'ReplyError', message: expect.stringMatching(/^WRONGPASS/) });
      expect((await redis().connectionsReceived()) - before).toBe(1);
      expect(shown(error)).not.toContain(SECRET);
      expect(shown(pool.stats())).not.toContain(SECRET);
      expect(shown(currentScope().tree())).not.toContain(SECRET);
    });
  });

  it('does not show in other failures of a pool', async () => {
    const proxy = await FaultProxy.start(host());
    proxy.admit = 'silent';
    const url = `redis://alice:${SECRET}@127.0.0.1:${proxy.port}`;
    const failures = await withRoot(async () => {
      const pool = poolOn(redis(), { url, connectTimeoutMs: 30, acquireTimeoutMs: 100 });
      const timeout = await errorOf(() => pool.get('a'));
      await proxy.refuse();
      return [timeout, await errorOf(() => pool.get('a'))];
    });
    expect(failures.map(({ code }) => code)).toEqual(['ERR_POOL_ACQUIRE_TIMEOUT', 'ERR_POOL_ACQUIRE_TIMEOUT']);
    expect(shown(failures)).not.toContain(SECRET);
    await proxy.stop();
  });

  it('does not show when a server quotes what it was sent', async () => {
    // Of all arguments Redis quotes the first 128 characters.
    const long = `${SECRET}${'x'.repeat(200)}`;
    for (const password of [SECRET, long]) {
      const quoting = await listen(answering(([name, ...rest]) => unknownCommand([`${name}`, rest.join("' '").slice(0, 128)])));
      const error = await withRoot(async () => {
        const pool = poolOn(redis(), { url: `redis://alice:${password}@127.0.0.1:${quoting}`, acquireTimeoutMs: 100 });
        const error = await errorOf(() => pool.get('a'));
        expect(shown(inspectProcess()) + scopesText() + shown(pool.health())).not.toContain(SECRET);
        return error;
      });
      expect(String(error.cause)).toBe("ReplyError: ERR unknown command 'auth', with args beginning with: ***");
      expect(shown(error)).not.toContain(SECRET);
    }
  });

  it.each<readonly [string, object]>([
    ['a URL without slashes', { url: `redis:alice:${SECRET}@host` }],
    ['a URL of another kind', { url: `http://alice:${SECRET}@host` }],
    ['a URL that is cut', { url: `alice:${SECRET}@host:6379` }],
    ['a strange query', { url: `redis://host?pasword=${SECRET}&retryStrategy=1` }],
    ['a list of URLs', { url: [`redis://alice:${SECRET}@host`] }],
    ['a misspelt option', { pasword: SECRET }],
    ['an option of ours that is misspelt', { urls: `redis://alice:${SECRET}@host` }],
    ['a password that is no text', { password: Symbol.for(SECRET) }],
    ['a connection name', { connectionName: SECRET }],
    ['scripts that are none', { scripts: SECRET }],
  ])('does not show in the error of %s', async (_, options) => {
    const error = await errorOf(() => defineRedisPool('secret', options));
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(shown(error)).not.toContain(SECRET);
  });
});

describe('an error of a command of a holder', () => {
  const SECRETIVE: readonly (readonly [string, (connection: Redis) => Promise<unknown>])[] = [
    ['AUTH', (connection) => connection.auth('alice', SECRET)],
    ['AUTH by call', (connection) => connection.call('Auth', 'alice', SECRET)],
    ['AUTH in an array', (connection) => connection.call('AUTH', ['alice', SECRET] as unknown as string)],
    ['AUTH in a pipeline', (connection) => connection.pipeline().auth('alice', SECRET).exec().then(firstError)],
    ['HELLO', (connection) => connection.call('HELLO', 3, 'AUTH', 'alice', SECRET)],
    ['ACL SETUSER', (connection) => connection.call('ACL', 'SetUser', 'bob', `>${SECRET}`, 'nonsense')],
    ['CONFIG SET', (connection) => connection.call('CONFIG', 'SET', 'requirepass', SECRET, 'nonsense', 1)],
  ];

  it.each(SECRETIVE)('shows no password: %s', async (_, send) => {
    await withRoot(async () => {
      const error = await errorOf(() => poolOn(redis()).use(send));
      expect(error).toMatchObject({ name: 'ReplyError', command: { name: expect.any(String) } });
      expect(shown(error)).not.toContain(SECRET);
    });
  });

  it('comes, too, where the program has made something else of all stacks', async () => {
    const { prepareStackTrace } = Error;
    onTestFinished(() => {
      Error.prepareStackTrace = prepareStackTrace;
    });
    Error.prepareStackTrace = (_, sites) => sites;
    await withRoot(async () => {
      const pool = poolOn(redis());
      const error = await errorOf(() => pool.use((connection) => connection.auth('alice', SECRET)));
      expect([error.message, pool.stats().inUse]).toEqual([expect.stringMatching(/^WRONGPASS/), 0]);
    });
  });

  it('shows the arguments of others', async () => {
    await withRoot(async () => {
      const error = await errorOf(() => poolOn(redis()).use((connection) => connection.call('CONFIG', 'GET')));
      expect(error).toMatchObject({ command: { args: ['GET'] } });
      expect(await errorOf(() => poolOn(redis()).getrange('a', 'x', 'y'))).toMatchObject({ command: { args: ['a', 'x', 'y'] } });
    });
  });
});

function firstError(results: readonly (readonly [unknown, unknown])[] | null): void {
  for (const [error] of results ?? []) if (error) throw error;
}

describe('the right password', () => {
  it.each([
    ['url', () => asUrl('right-one')],
    ['username and password', () => ({ url: undefined, ...host(), username: 'alice', password: 'right-one', db: 1 })],
  ])('in %s lets us in', async (_, options) => {
    await withRoot(async () => {
      const pool: RedisPool = poolOn(redis(), options());
      expect(await pool.acl('WHOAMI')).toBe('alice');
      expect(await pool.client('INFO')).toContain('db=1');
    });
  });
});
