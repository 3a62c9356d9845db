import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withRoot } from 'scoped-pool';
import { defineRedisPool, type RedisPoolOptions } from 'scoped-pool/redis';
import { afterAll, describe, expect, it } from 'vitest';
import { nearestName } from '../../src/options.ts';
import { useRedis } from '../support/redis.ts';
import { errorOf, poolOn } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'sp-'));
const socket = join(folder, 'redis.sock');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const redis = useRedis({ fresh: true, args: ['--unixsocket', socket] });

/** What is wrong, the options, and what the message says. */
const BAD: readonly (readonly [string, unknown, RegExp])[] = [
  [
    'an unknown option',
    { hots: 'localhost' },
    /: hots must be left out: did you mean host\? known are max, .*, unique and every option of ioredis/,
  ],
  ['a misspelt option of the pool', { maxSharrers: 5 }, /maxSharrers must be left out: did you mean maxSharers\? known/],
  ['an option that is like no other', { colour: 'red' }, /colour must be left out: known are max, /],
  [
    'an option named like what all objects have',
    { valueOf: 'hunter2' },
    /valueOf must be left out: known .*a value of type string, which is not/,
  ],
  ['no object', null, /options must be an object; got null/],
  ['a list', [], /options must be an object/],
  ['a text', 'redis://localhost', /options must be an object/],
  ['a URL of another kind', { url: 'http://localhost' }, /url must be a URL like redis/],
  ['a URL that is none', { url: 'localhost' }, /url must be/],
  ['a URL in capitals, which ioredis would take for one without TLS', { url: 'REDISS://localhost' }, /url must be a URL like redis/],
  ['no sentinel at all', { sentinels: [], name: 'mymaster' }, /sentinels must be a list of sentinels: \[\{ host, port \}\]/],
  ['sentinels that are texts', { sentinels: ['localhost:26379'], name: 'mymaster' }, /sentinels must be a list of sentinels/],
  ['sentinels without a name', { sentinels: [{}] }, /name must be what the sentinels call the master/],
  ['an empty URL', { url: '' }, /url must be/],
  ['a URL with an option that the pool owns', { url: 'redis://localhost?lazyConnect=0' }, /url must be a URL without "lazyConnect"/],
  ['a URL with an unknown option', { url: 'redis://localhost?foo=1' }, /url must be a URL without "foo"/],
  [
    'a URL with a password that is not encoded',
    { url: 'redis://:50%off@localhost' },
    /url must be a URL with user and password percent-enc/,
  ],
  ['a URL and a host', { url: 'redis://localhost', host: 'localhost' }, /host must be left out beside url/],
  ['a URL and a port', { url: 'redis://localhost', port: 6379 }, /port must be left out beside url/],
  ['a URL and a path', { url: 'redis://localhost', path: '/run/a' }, /path must be left out beside url/],
  ['two users', { url: 'redis://me:secret@localhost', username: 'you' }, /username must be left out: url says it/],
  [
    'two passwords',
    { url: 'redis://:secret@localhost', password: 'other-secret' },
    /password must be left out: url says it; got a value of type string/,
  ],
  ['two databases', { url: 'redis://localhost/1', db: 2 }, /db must be left out: url says it/],
  ['an empty host', { host: ' ' }, /host must be a text that is not empty/],
  ['port 0', { port: 0 }, /port must be a port from 1 to 65535/],
  ['port 65536', { port: 65_536 }, /port must be/],
  ['a port that is no number', { port: 'redis' }, /port must be/],
  ['a port that is true', { port: true }, /port must be/],
  ['a database below 0', { db: -1 }, /db must be an integer from 0/],
  ['a password that is a number', { password: 1234 }, /password must be a text; got a value of type number/],
  ['a prefix that is a number', { keyPrefix: 1 }, /keyPrefix must be a text/],
  ['scripts without Lua', { scripts: { one: {} } }, /scripts must be an object of scripts/],
  ['max 0', { max: 0 }, /max must be an integer from 1; got 0/],
  ['max 1.5', { max: 1.5 }, /max must be/],
  ['a max that is a text', { max: '10' }, /max must be.*got "10"/],
  ['more at least than at most', { min: 3, max: 2 }, /min must be at most max \(2\); got 3/],
  ['a service without a name', { service: '' }, /service must be/],
  ['connectTimeoutMs 0', { connectTimeoutMs: 0 }, /connectTimeoutMs must be milliseconds from 1/],
  ['commandTimeoutMs below 0', { commandTimeoutMs: -5 }, /commandTimeoutMs must be/],
  ['idleTimeoutMs NaN', { idleTimeoutMs: Number.NaN }, /idleTimeoutMs must be/],
  ['unique that is a text', { unique: 'yes' }, /unique must be true or false/],
  ['an option of the generic pool', { createTimeoutMs: 5 }, /createTimeoutMs must be left out: see connectTimeoutMs/],
];

/** Options of ioredis that the pool owns, each with what it would do. */
const OWNED = [
  ...['lazyConnect', 'retryStrategy', 'reconnectOnError', 'maxRetriesPerRequest', 'autoResendUnfulfilledCommands', 'autoResubscribe'],
  ...['enableOfflineQueue', 'enableAutoPipelining', 'monitor', 'connectTimeout', 'commandTimeout', 'socketTimeout', 'blockingTimeout'],
  ...['connectionName', 'replyMapping', 'sentinelRetryStrategy', 'sentinelCommandTimeout'],
];

describe('defineRedisPool', () => {
  it.each(BAD)('refuses %s at once', async (_, options, message) => {
    const error = await errorOf(() => defineRedisPool('bad', options as RedisPoolOptions));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^defineRedisPool\("bad"\): /);
  });

  it('says of an unknown option what fits on a screen, and nothing of its value', async () => {
    const { message } = await errorOf(() => defineRedisPool('bad', { pasword: 'hunter2' } as RedisPoolOptions));
    expect(message).toContain('did you mean password?');
    expect(message).not.toContain('hunter2');
    expect(message).not.toContain('sentinelRetryStrategy');
    expect(message.length).toBeLessThan(400);
  });

  it.each<readonly [string, string | undefined]>([
    ['host', 'host'],
    ['hots', 'host'],
    ['ost', 'host'],
    ['hoost', 'host'],
    ['ports', 'port'],
    ['pot', 'port'],
    ['Hosts', 'host'],
    ['hxyz', undefined],
    ['h', undefined],
    ['', undefined],
  ])('takes %s for %s', (word, meant) => expect(nearestName(word, ['host', 'port', 'database'])).toBe(meant));

  it.each(['', '  ', undefined, 5, null])('refuses %j as a name', async (name) => {
    expect((await errorOf(() => defineRedisPool(name as string))).code).toBe('ERR_INVALID_OPTION');
  });

  it.each(OWNED)('refuses %s, which the pool owns, and says why', async (option) => {
    const error = await errorOf(() => defineRedisPool('bad', { [option]: null }));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(`${option} must be left out: .{20}`) });
  });

  it('opens nothing, and takes an option that is undefined as absent', async () => {
    const before = await redis().connectionsReceived();
    poolOn(redis(), { host: undefined, max: undefined, password: undefined });
    expect(await redis().connectionsReceived()).toBe(before);
  });

  it('gives the same pool for equal options', () => {
    const options = { host: 'a.example', scripts: { one: { lua: 'return 1' } } };
    expect(defineRedisPool('twice', options)).toBe(defineRedisPool('twice', structuredClone(options)));
  });
});

describe('options of ioredis reach the connection', () => {
  const host = () => ({ url: undefined, host: redis().server.host, port: redis().server.port });

  it('host, port, db and keyPrefix', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { ...host(), db: 3, keyPrefix: 'mine:' });
      await pool.set('key', 'value');
      await pool.pipeline().set('other', 1).exec();
      expect((await pool.keys('*')).sort()).toEqual(['mine:key', 'mine:other']);
      expect(await pool.client('INFO')).toContain('db=3');
    });
  });

  it('a port that is a text, a database in the URL, and options beside and in it', async () => {
    await withRoot(async () => {
      expect(await poolOn(redis(), { ...host(), port: String(redis().server.port) as unknown as number }).ping()).toBe('PONG');
      expect(await poolOn(redis(), { url: `${redis().url}/4?family=4`, keyPrefix: 'p:' }).client('INFO')).toContain('db=4');
      expect(await poolOn(redis(), { db: 5 }).client('INFO')).toContain('db=5');
    });
  });

  it('not without the database that they name', async () => {
    await withRoot(async () => {
      const error = await errorOf(() => poolOn(redis(), { db: 9_999 }).set('key', 'value'));
      expect(error).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE', cause: { message: 'ERR DB index is out of range' } });
    });
    expect(await redis().observer.exists('key')).toBe(0);
  });

  it('path: a unix socket', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: undefined, path: socket });
      expect(await pool.ping()).toBe('PONG');
      expect(await pool.client('INFO')).toContain(socket);
    });
  });

  it('stringNumbers', async () => {
    await redis().observer.set('big', '9007199254740993');
    await withRoot(async () => {
      expect(await poolOn(redis(), { stringNumbers: true }).incrby('big', 0)).toBe('9007199254740993');
    });
  });
});
