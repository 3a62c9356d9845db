import { describe, expect, it } from 'vitest';
import { definePool, type PoolOptions, withRoot } from '../../src/index.ts';
import { withoutFunctions } from '../../src/pool/define.ts';
import type * as definition from '../../src/pool/pool.ts';
import { defineRedisPool } from '../../src/redis/index.ts';
import { until } from '../support/until.ts';
import { type Connection, poolName, Server } from './support.ts';

/** What the process was warned of while `fn` ran. */
async function warningsOf(fn: () => unknown): Promise<string[]> {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => void warnings.push(message);
  process.on('warning', onWarning);
  await fn();
  await new Promise<void>((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  return warnings;
}

describe('Rule 9: defining again', () => {
  it('gives the same pool for equal options, however deep, without a warning', async () => {
    const name = poolName();
    const define = (extra: object) => definePool<object>(name, { create: () => ({}), max: 3, ...extra });
    const pool = define({});
    const warnings = await warningsOf(() => {
      expect(define({})).toBe(pool);
      expect(define({ min: undefined })).toBe(pool);
    });
    expect(warnings).toEqual([]);
  });

  it('lets the newest functions serve new connections, and old connections be', async () => {
    const name = poolName();
    const define = (version: string) => definePool(name, { create: () => ({ version }), max: 2 });
    const pool = define('old');
    await withRoot(async () => {
      const old = await pool.acquire();
      define('new');
      await pool.use(({ version }) => expect(version).toBe('new'));
      expect(old.resource.version).toBe('old');
      old.release();
    });
  });

  it('lets the newest definition win for other options: the old pool drains, one warning names both places', async () => {
    const name = poolName();
    const server = new Server();
    const define = (max: number) => definePool(name, { create: server.create, destroy: server.destroy, max });
    await withRoot(async () => {
      const pool = define(1);
      const held = await pool.acquire();
      const warnings = await warningsOf(() => expect(define(2)).not.toBe(pool));
      expect(warnings).toHaveLength(1);
      expect(warnings[0]?.match(/define\.test\.ts:\d+:\d+/g)).toHaveLength(2);
      // Whoever still has the old one gets connections of the new one.
      await pool.use((connection) => expect(connection).not.toBe(held.resource));
      expect(pool.stats()).toMatchObject({ max: 2, open: 1 });
      const { resource } = held;
      expect(resource.isOpen).toBe(true);
      held.release();
      await until(() => !resource.isOpen);
      expect(server.open).toBe(1);
    });
    expect(server.open).toBe(0);
  });

  it('throws ERR_POOL_REDEFINED where either is unique, naming both places; the first goes on', async () => {
    const name = poolName();
    const define = (options: Partial<PoolOptions<object>>) => definePool<object>(name, { create: () => ({}), ...options });
    const pool = define({ max: 1, unique: true });
    const redefined = expect.objectContaining({
      code: 'ERR_POOL_REDEFINED',
      message: expect.stringMatching(/define\.test\.ts:\d+.*define\.test\.ts:\d+/),
    });
    expect(() => define({ max: 2, unique: true })).toThrow(redefined);
    expect(() => define({ max: 2 })).toThrow(redefined);
    expect(define({ max: 1, unique: true })).toBe(pool);
    await withRoot(() => pool.use(() => expect(pool.stats().max).toBe(1)));
  });

  it('says where a pool was defined', () => {
    const pool = definePool(poolName(), { create: () => ({}) }) as definition.Pool<object>;
    expect(pool.site).toMatch(/define\.test\.ts:\d+:\d+$/);
  });
});

describe('withoutFunctions', () => {
  it('leaves out functions at whatever depth, and what is left open', () => {
    const at = new Date(0);
    expect(withoutFunctions({ a: 1, f: () => 1, u: undefined, n: null, deep: { g() {}, list: [1], at } })).toEqual({
      a: 1,
      n: null,
      deep: { list: [1], at },
    });
  });
});

describe('bad input', () => {
  const create = () => {
    throw new Error('must not be called');
  };

  it.each([
    ['a name that is empty', '', { create }],
    ['a name of spaces', '  ', { create }],
    ['a name that is no text', 7, { create }],
    ['no options', 'x', undefined],
    ['options that are no object', 'x', 'create'],
    ['options that are a list', 'x', [create]],
    ['no create', 'x', {}],
    ['an unknown option', 'x', { create, maximum: 4 }],
    ['an option of Object.prototype', 'x', { create, toString: 1 }],
    ['create that is no function', 'x', { create: 'redis://' }],
    ['destroy that is no function', 'x', { create, destroy: true }],
    ['validate that is no function', 'x', { create, validate: 1 }],
    ['isUsable that is no function', 'x', { create, isUsable: {} }],
    ['reset that is no function', 'x', { create, reset: null }],
    ['onDead that is no function', 'x', { create, onDead: 'end' }],
    ['max of 0', 'x', { create, max: 0 }],
    ['max that is negative', 'x', { create, max: -1 }],
    ['max that is no integer', 'x', { create, max: 1.5 }],
    ['max of Infinity', 'x', { create, max: Number.POSITIVE_INFINITY }],
    ['max as a text', 'x', { create, max: '10' }],
    ['min that is negative', 'x', { create, min: -1 }],
    ['min over max', 'x', { create, min: 3, max: 2 }],
    ['min over the default of max', 'x', { create, min: 11 }],
    ['maxSharers of 0', 'x', { create, maxSharers: 0 }],
    ['maxWaiters that is negative', 'x', { create, maxWaiters: -1 }],
    ['acquireTimeoutMs of 0', 'x', { create, acquireTimeoutMs: 0 }],
    ['acquireTimeoutMs that is NaN', 'x', { create, acquireTimeoutMs: Number.NaN }],
    ['createTimeoutMs as a text', 'x', { create, createTimeoutMs: '5s' }],
    ['idleTimeoutMs of 0: infinite is Infinity', 'x', { create, idleTimeoutMs: 0 }],
    ['maxLifetimeMs that is negative', 'x', { create, maxLifetimeMs: -1 }],
    ['isFinal that is no function', 'x', { create, isFinal: 'ERR' }],
    ['maxUses of 0', 'x', { create, maxUses: 0 }],
    ['maxUses that is no integer', 'x', { create, maxUses: 1.5 }],
    ['keepaliveMs of 0', 'x', { create, validate: create, keepaliveMs: 0 }],
    ['keepaliveMs as a text', 'x', { create, validate: create, keepaliveMs: '30s' }],
    ['keepaliveMs without validate', 'x', { create, keepaliveMs: 1_000 }],
    ['leakAfterMs that is negative', 'x', { create, leakAfterMs: -1 }],
    ['leakAfterMs that is NaN', 'x', { create, leakAfterMs: Number.NaN }],
    ['codelTargetMs of 0', 'x', { create, codelTargetMs: 0 }],
    ['codelIntervalMs as a text', 'x', { create, codelIntervalMs: '100' }],
    ['unique that is no flag', 'x', { create, unique: 'yes' }],
  ])('%s throws ERR_INVALID_OPTION at once', (_, name, options) => {
    expect(() => definePool(name as string, options as PoolOptions<Connection>)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }),
    );
  });

  it.each([
    ['a function that is none', { use: 'fn' }],
    ['an unknown option', { options: { timeout: 1 } }],
    ['a signal that is none', { options: { signal: {} } }],
    ['a timeout of 0', { options: { acquireTimeoutMs: 0 } }],
    ['a priority that is none', { options: { priority: 'urgent' } }],
    ['a priority that is a number', { options: { priority: 1 } }],
  ])(
    'of use(): %s rejects with ERR_INVALID_OPTION, and opens nothing',
    async (_, { use = () => {}, options }: { use?: unknown; options?: object }) => {
      const server = new Server();
      const pool = definePool(poolName(), { create: server.create });
      await withRoot(async () => {
        await expect(pool.use(use as () => void, options)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
        await expect(pool.share(use as () => void, options)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
      });
      expect(server.attempts).toBe(0);
    },
  );

  it('of close() rejects with ERR_INVALID_OPTION, and closes nothing', async () => {
    const pool = definePool(poolName(), { create: () => ({}) });
    await withRoot(async () => {
      await expect(pool.close({ graceMs: -1 })).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
      await pool.use(() => {});
    });
  });
});

describe('two pools of one name but different kinds', () => {
  it('are an error, whoever says unique: one cannot stand in for the other', () => {
    const name = poolName();
    defineRedisPool(name, { host: '127.0.0.1' });
    expect(() => definePool(name, { create: () => ({}) })).toThrow(expect.objectContaining({ code: 'ERR_POOL_REDEFINED' }));
  });
});
