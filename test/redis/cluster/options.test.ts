import { withRoot } from 'scoped-pool';
import { defineRedisClusterPool, defineRedisPool, type RedisClusterPoolOptions } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { optionsOf, reachOf, seedsOf } from '../../../src/redis/cluster/options.ts';
import { until } from '../../support/until.ts';
import { errorOf } from '../support.ts';
import { poolOn, useCluster } from './support.ts';

const cluster = useCluster({ masters: 3 });
const nodes = [{ host: 'a.example', port: 7000 }];

/** What is wrong, the options, and what the message says. */
const BAD: readonly (readonly [string, unknown, RegExp])[] = [
  ['no options', undefined, /options must be an object/],
  ['a list', [], /options must be an object/],
  ['no nodes', {}, /nodes must be a list of nodes/],
  ['an empty list of nodes', { nodes: [] }, /nodes must be a list of nodes/],
  ['one node', { nodes: { host: 'a', port: 1 } }, /nodes must be a list of nodes/],
  ['a node that is a number', { nodes: [7000] }, /nodes must be a list of nodes/],
  ['a node that is null', { nodes: [null] }, /nodes must be a list of nodes/],
  ['a node without a host', { nodes: [{ port: 7000 }] }, /nodes must be/],
  ['a node with a port that is none', { nodes: [{ host: 'a', port: 70_000 }] }, /nodes must be/],
  ['a bad node behind a good one', { nodes: [...nodes, { host: '' }] }, /nodes must be/],
  ['a node without a protocol', { nodes: ['a.example:7000'] }, /nodes must be/],
  ['a node of another protocol', { nodes: ['http://a.example:7000'] }, /nodes must be/],
  ['a node with a password', { nodes: ['redis://me:hunter2@a.example'] }, /nodes must be .* user and password are options beside it/],
  ['a node with a database', { nodes: ['redis://a.example/1'] }, /nodes must be/],
  ['a node with a query', { nodes: ['redis://a.example?db=1'] }, /nodes must be/],
  ['a natMap that is a text', { nodes, natMap: 'a' }, /natMap must be an object of addresses/],
  ['a natMap of texts', { nodes, natMap: { 'a:1': 'b:2' } }, /natMap must be an object of addresses/],
  ['a URL', { nodes, url: 'redis://a.example' }, /url must be left out: see nodes/],
  ['a host', { nodes, host: 'a.example' }, /host must be left out: see nodes/],
  ['a port', { nodes, port: 7000 }, /port must be left out: see nodes/],
  ['a path', { nodes, path: '/run/a' }, /path must be left out: /],
  ['a database', { nodes, db: 1 }, /db must be left out: a cluster has database 0 alone/],
  ['sentinels', { nodes, sentinels: [] }, /sentinels must be left out: /],
  ['readOnly', { nodes, readOnly: true }, /readOnly must be left out: /],
  ['an option that the pool owns', { nodes, retryStrategy: null }, /retryStrategy must be left out: a connection that breaks/],
  ['a misspelt option', { nodes, natMpa: {} }, /natMpa must be left out: did you mean natMap\? known are max, .*, nodes, natMap and every/],
  ['a misspelt password', { nodes, pasword: 'hunter2' }, /did you mean password\?/],
  ['max 0', { nodes, max: 0 }, /max must be an integer from 1/],
  ['more at least than at most', { nodes, min: 3, max: 2 }, /min must be at most max/],
  ['a wrong option of retry', { nodes, retry: { maxAttempts: 0 } }, /retry: maxAttempts must be an integer/],
];

describe('defineRedisClusterPool', () => {
  it.each(BAD)('refuses %s at once, and shows no secret', async (_, options, message) => {
    const error = await errorOf(() => defineRedisClusterPool('bad', options as RedisClusterPoolOptions));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^defineRedisClusterPool\("bad"\): /);
    expect(error.message).not.toContain('hunter2');
  });

  it.each(['', undefined, 5])('refuses %j as a name', async (name) => {
    expect((await errorOf(() => defineRedisClusterPool(name as string, { nodes }))).code).toBe('ERR_INVALID_OPTION');
  });

  it('refuses a script named like a member of the pool', async () => {
    const scripts = { stats: { lua: 'return 1' } };
    expect((await errorOf(() => defineRedisClusterPool('bad', { nodes, scripts }))).code).toBe('ERR_INVALID_OPTION');
  });

  it('gives the same pool for equal options, and no pool of another kind', async () => {
    expect(defineRedisClusterPool('twice', { nodes })).toBe(defineRedisClusterPool('twice', { nodes: structuredClone(nodes) }));
    expect(await errorOf(() => defineRedisPool('twice', { host: 'a.example' }))).toMatchObject({ code: 'ERR_POOL_REDEFINED' });
  });

  it('reads nodes as they are written', () => {
    const written = [{ host: 'a' }, { host: '::1', port: 7000 }, 'redis://b', 'rediss://c:7001', 'redis://[::1]:7002/0'];
    expect(seedsOf({ nodes: written })).toEqual(['a:6379', '::1:7000', 'b:6379', 'c:7001', '::1:7002']);
    expect(optionsOf({ nodes: written, password: 'x' }, '::1:7000')).toMatchObject({ host: '::1', port: 7000, tls: {}, password: 'x' });
    expect(optionsOf({ nodes }, 'a:1')).not.toHaveProperty('tls');
    expect(optionsOf({ nodes, natMap: {} }, 'a:1')).not.toHaveProperty('natMap');
  });

  it('reaches nodes where natMap says', () => {
    const to = { host: 'b', port: 2 };
    expect(reachOf({ nodes, natMap: { 'a:1': to } }, 'a:1')).toBe('b:2');
    expect(reachOf({ nodes, natMap: { 'a:1': to } }, 'a:2')).toBe('a:2');
    expect(reachOf({ nodes, natMap: (address) => (address === 'a:1' ? to : null) }, 'a:1')).toBe('b:2');
    expect(reachOf({ nodes, natMap: () => null }, 'a:1')).toBe('a:1');
  });

  it('drains the old pool when it is defined again with other options', async () => {
    const old = poolOn(cluster());
    await withRoot(async () => {
      await old.set('kept', 1);
      const warned = new Promise((resolve) => process.once('warning', resolve));
      const newer = defineRedisClusterPool(old.name, { nodes: cluster().nodes, service: 'newer' });
      expect(await warned).toMatchObject({ code: 'SCOPED_POOL_REDEFINED' });
      expect(await old.get('kept')).toBe('1');
      expect(await old.use((connection) => connection.get('kept'), { key: 'kept' })).toBe('1');
      expect(old.stats()).toEqual(newer.stats());
      expect(old.inspect().nodes).toEqual(expect.objectContaining({}));
      await until(async () => (await cluster().connections()).every((name) => name.startsWith(`sp:newer:${old.name}:`)));
    });
  });
});
