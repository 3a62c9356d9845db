import type * as pool from '../../pool/api.ts';
import type { PoolInspection } from '../../pool/report.ts';
import type { RedisCommands, UseOptions } from '../api.ts';
import type { Redis } from '../ioredis.ts';
import type { ClusterAcquireOptions } from './options.ts';

/** What a pool of a cluster holds: of all nodes together, and of each by its address. */
export interface ClusterInspection extends PoolInspection {
  readonly nodes: Readonly<Record<string, PoolInspection>>;
}

type UseFunction<R> = (connection: Redis, lease: pool.Lease<Redis>) => R | PromiseLike<R>;

/**
 * A pool of connections to the nodes of a Redis cluster that is a Redis client: `await cluster.incr('n')`. A command
 * goes to the node of its first key. Whatever needs a connection for longer than a command is done in
 * `use(fn, { key })`, on a connection to the node of that key.
 */
export interface RedisClusterPool
  extends Omit<pool.Pool<Redis>, 'use' | 'share' | 'acquire' | 'acquireShared' | 'tryAcquire' | 'inspect'>,
    Omit<RedisCommands, 'scan' | 'scanBuffer' | 'scanStream' | 'scanBufferStream'> {
  use<R>(fn: UseFunction<R>, options: ClusterAcquireOptions & UseOptions): Promise<R>;
  share<R>(fn: UseFunction<R>, options: ClusterAcquireOptions): Promise<R>;
  acquire(options: ClusterAcquireOptions): Promise<pool.Lease<Redis>>;
  acquireShared(options: ClusterAcquireOptions): Promise<pool.Lease<Redis>>;
  tryAcquire(options: Pick<ClusterAcquireOptions, 'key'>): pool.Lease<Redis> | undefined;
  inspect(): ClusterInspection;
}
