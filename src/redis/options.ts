import { InvalidOptionError } from '../errors.ts';
import { anything, type Check, checkArgument, checkOptions, duration, text } from '../options.ts';
import { checkMinimum, type PoolRules, RULE_CHECKS } from '../pool/options.ts';
import type { RedisOptions } from './ioredis.ts';

/** Options of ioredis that the pool owns, each with what to say of it. */
const OWNED = {
  lazyConnect: 'the pool connects when a connection is needed',
  retryStrategy: 'a connection that breaks is replaced by the pool, never reconnected',
  reconnectOnError: 'a connection that breaks is replaced by the pool, never reconnected',
  maxRetriesPerRequest: 'no command is ever sent twice behind your back',
  autoResendUnfulfilledCommands: 'no command is ever sent twice behind your back',
  autoResubscribe: 'a subscription belongs to the lease that made it',
  enableOfflineQueue: 'commands wait for a lease, see acquireTimeoutMs',
  enableAutoPipelining: 'the pool writes in one piece what is sent in one tick',
  monitor: 'lease a connection and call monitor() on it',
  connectTimeout: 'see connectTimeoutMs, which bounds the whole handshake',
  commandTimeout: 'see commandTimeoutMs, after which the connection is destroyed',
  socketTimeout: 'see commandTimeoutMs, after which the connection is destroyed',
  blockingTimeout: 'a blocking command has its own timeout plus commandTimeoutMs',
  connectionName: 'connections are named sp:<service>:<pool>:<pid>, see service',
  replyMapping: 'the pool is typed for the legacy mapping',
} as const satisfies Partial<Record<keyof RedisOptions, string>>;

type OwnedOption = keyof typeof OWNED;
type OwnRules = Omit<PoolRules, 'createTimeoutMs' | 'validateTimeoutMs' | 'destroyTimeoutMs'>;

/** Settings of `defineRedisPool`: of the pool, and any option of ioredis that the pool does not own. */
export interface RedisPoolOptions extends OwnRules, Omit<RedisOptions, OwnedOption> {
  /** `redis://user:password@host:port/db`, or `rediss:`; instead of `host`, `port`, `username`, `password`, `db`. */
  readonly url?: string | undefined;
  /** Name of the application in `CLIENT LIST`. Default: `npm_package_name`, else `node`. */
  readonly service?: string | undefined;
  /** How long connecting may take, handshake included, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long a reply may take, in milliseconds; blocking commands have their own timeout on top. Then the connection is destroyed. Default 5,000. */
  readonly commandTimeoutMs?: number | undefined;
  /** Defining the name again with other options is an error. Default false. */
  readonly unique?: boolean | undefined;
}

const isRedisUrl: Check = (value) =>
  typeof value === 'string' && URL.canParse(value) && /^rediss?:$/.test(new URL(value).protocol)
    ? undefined
    : 'a URL like redis://host:6379 or rediss://host:6380';
const port: Check = (value) => (Number.isInteger(Number(value)) && Number(value) > 0 && Number(value) < 65_536 ? undefined : 'a port from 1 to 65535');

const { createTimeoutMs: _, validateTimeoutMs: _1, destroyTimeoutMs: _2, ...RULES } = RULE_CHECKS;

const OWN_CHECKS = {
  ...RULES,
  url: isRedisUrl,
  service: text,
  connectTimeoutMs: duration(1),
  commandTimeoutMs: duration(1),
  unique: (value: unknown) => (typeof value === 'boolean' ? undefined : 'true or false'),
};

/** All other options of ioredis; the type says when one is missing. */
const PASSED = {
  Connector: anything, blockingTimeoutGrace: anything, keepAlive: anything, noDelay: anything, disableClientInfo: anything,
  clientInfoTag: anything, username: anything, password: anything, db: anything, readOnly: anything, stringNumbers: anything,
  protocol: anything, maxLoadingRetryTime: anything, autoPipeliningIgnoredCommands: anything, offlineQueue: anything,
  commandQueue: anything, enableReadyCheck: anything, scripts: anything, himportFieldsets: anything, keyPrefix: anything,
  showFriendlyErrorStack: anything, disconnectTimeout: anything, tls: anything, name: anything, role: anything,
  sentinelUsername: anything, sentinelPassword: anything, sentinels: anything, path: anything, family: anything,
  sentinelRetryStrategy: anything, sentinelReconnectStrategy: anything, preferredSlaves: anything, sentinelCommandTimeout: anything,
  enableTLSForSentinelMode: anything, sentinelTLS: anything, natMap: anything, updateSentinels: anything, sentinelMaxConnections: anything,
  failoverDetector: anything, host: text, port,
} satisfies Record<Exclude<keyof RedisOptions, OwnedOption>, Check>;

const CHECKS = { ...OWN_CHECKS, ...PASSED } satisfies Record<keyof RedisPoolOptions, Check>;

/** @throws InvalidOptionError */
export function checkRedisPool(name: string, options: RedisPoolOptions): void {
  checkArgument('defineRedisPool()', 'its name', name, text);
  const where = `defineRedisPool("${name}")`;
  for (const [option, why] of Object.entries(OWNED)) {
    const actual = (options as Record<string, unknown> | null)?.[option];
    if (actual !== undefined) throw new InvalidOptionError({ where, option, expected: `left out: ${why}`, actual });
  }
  checkOptions(where, options, CHECKS);
  checkMinimum(where, options);
  if (options.url === undefined) return;
  for (const option of ['host', 'port', 'path', 'sentinels'] as const) {
    if (options[option] !== undefined) throw new InvalidOptionError({ where, option, expected: 'left out beside url', actual: options[option] });
  }
}

/** The options that ioredis gets. */
export function ioredisOptions(options: RedisPoolOptions): RedisOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !(name in OWN_CHECKS)));
}
