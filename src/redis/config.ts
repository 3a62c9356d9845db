import type { ConnectionConfig } from './connection.ts';
import { type ConnectionOptions, ioredisOptions } from './options.ts';
import { followingSentinels } from './sentinel.ts';

/** What the connections of a pool or a subscriber are made of, with the defaults. */
export function connectionConfig(kind: 'pool' | 'subscriber', name: string, options: ConnectionOptions): ConnectionConfig {
  const connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
  return {
    name,
    owner: `${kind} "${name}"`,
    url: options.url,
    options: followingSentinels(ioredisOptions(options), connectTimeoutMs),
    service: options.service ?? process.env.npm_package_name ?? 'node',
    connectTimeoutMs,
  };
}
