import { LeaseEndedError } from '../errors.ts';
import type { Lease } from '../pool/lease.ts';
import { disconnect } from './connection.ts';
import type { Redis } from './ioredis.ts';
import { withoutArguments } from './secrets.ts';

/** Connections that holders have opened beside a connection of the pool, each with the lease that it ends with. */
const besides = new WeakMap<Redis, Map<Redis, Lease<Redis>>>();

/** MONITOR, which takes a connection of its own: ioredis opens one, and it is closed when the lease ends. */
export function monitorBeside(pool: string, connection: Redis, lease: Lease<Redis>): Promise<Redis> {
  const monitor = connection.duplicate({ monitor: true, lazyConnect: false });
  const open = besides.get(connection) ?? new Map<Redis, Lease<Redis>>();
  besides.set(connection, open.set(monitor, lease));
  return new Promise((resolve, reject) => {
    monitor.once('error', (error) => {
      reject(withoutArguments(error));
      disconnect(monitor);
    });
    monitor.once('monitoring', () => resolve(monitor));
    monitor.once('end', () => {
      open.delete(monitor);
      reject(lease.ended ? new LeaseEndedError(pool, 'MONITOR') : new Error('Connection is closed.'));
    });
  });
}

/** Closes what was opened beside the connection: on that lease or, without one, at all. */
export async function closeBeside(connection: Redis, lease?: Lease<Redis>): Promise<void> {
  const all = besides.get(connection);
  if (!all) return;
  const open = [...all].filter(([, opener]) => !lease || opener === lease);
  await Promise.all(open.map(([beside]) => disconnect(beside)));
}
