import { register, withoutFunctions } from '../pool/define.ts';
import type { PoolSettings } from '../pool/options.ts';
import { currentScope } from '../scope/index.ts';
import type { RedisPool } from './api.ts';
import { closeBeside } from './beside.ts';
import type { RedisClusterPool } from './cluster/api.ts';
import { ClusterPool } from './cluster/cluster-pool.ts';
import { checkRedisClusterPool, optionsOf, type RedisClusterPoolOptions } from './cluster/options.ts';
import { connectionConfig } from './config.ts';
import { type ConnectionConfig, connect, disconnect, isFinal, isUsable, onDead, ping } from './connection.ts';
import { Demotion } from './demotion.ts';
import { conditionOf, type Equipment } from './equip.ts';
import { guard, leave } from './guard.ts';
import type { Redis } from './ioredis.ts';
import { checkRedisPool, type RedisPoolOptions } from './options.ts';
import { CommandPool } from './redis-pool.ts';

export type { RedisCommands, RedisPool, UseOptions } from './api.ts';
export type { ClusterInspection, RedisClusterPool } from './cluster/api.ts';
export type { ClusterAcquireOptions, ClusterNode, NatMap, RedisClusterPoolOptions } from './cluster/options.ts';
export type { RedisPoolOptions } from './options.ts';
export type { RetryOptions } from './retry.ts';
export { type ConsumerGroup, consumerGroup, type GroupEntry } from './stream/consumer-group.ts';
export type { ConsumerGroupOptions, RedisStreamOptions } from './stream/options.ts';
export type { StreamEntry, StreamPool } from './stream/read.ts';
export { type RedisStream, redisStream } from './stream/redis-stream.ts';

/**
 * Defines a pool of Redis connections by name; opens nothing. The pool is a Redis client for plain commands.
 *
 * @throws InvalidOptionError for an unknown option, a wrong one, or one of ioredis that the pool owns.
 */
export function defineRedisPool(name: string, options: RedisPoolOptions = {}): RedisPool {
  checkRedisPool(name, options);
  return register(new CommandPool(name, settingsOf(name, options)).addScripts()) as unknown as RedisPool;
}

/**
 * Defines a pool of connections to the nodes of a Redis cluster by name; opens nothing. The pool is a Redis client for
 * plain commands, and lends connections to the node of a key. All limits hold for each node.
 *
 * @throws InvalidOptionError for an unknown option, a wrong one, or one of ioredis that the pool owns.
 */
export function defineRedisClusterPool(name: string, options: RedisClusterPoolOptions): RedisClusterPool {
  checkRedisClusterPool(name, options);
  const settingsOfNode = (address: string, demotion?: Demotion) => settingsOf(name, optionsOf(options, address), demotion);
  const plain = { kind: 'redis-cluster', ...withoutFunctions(options) };
  const pool = new ClusterPool(name, { ...settingsOfNode('nowhere:0'), plain }, options, settingsOfNode);
  return register(pool.addScripts()) as unknown as RedisClusterPool;
}

/** @param demotion One for all connections to a server. */
function settingsOf(name: string, options: RedisPoolOptions, demotion = new Demotion()): PoolSettings<Redis> {
  const config: ConnectionConfig & Omit<Equipment, 'scope'> = {
    ...connectionConfig('pool', name, options),
    pool: name,
    commandTimeoutMs: options.commandTimeoutMs ?? 5_000,
    demotion,
  };
  return {
    ...options,
    maxSharers: options.maxSharers ?? Number.POSITIVE_INFINITY,
    // Connecting has its own deadline, which can say how far it came.
    createTimeoutMs: Number.POSITIVE_INFINITY,
    create: ({ signal }) => connect({ ...config, scope: currentScope().name }, signal),
    destroy: (connection) => Promise.all([disconnect(connection), closeBeside(connection)]),
    validate: ping,
    isUsable,
    reset: (connection) => conditionOf(connection)?.restore(),
    onLeave: leave,
    onDead,
    isFinal,
    // The library's own commands need no guard: they end before their lease does.
    guard: (connection, lease) => (lease.kind === 'user' ? guard(name, connection, lease) : connection),
    plain: { kind: 'redis', ...withoutFunctions(options) },
  };
}
