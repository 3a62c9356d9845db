import { InvalidOptionError } from '../errors.ts';
import { anything, type Check, checkArgument, checkOptions, duration, flag, integer, nearestName, text } from '../options.ts';
import { checkMinimum, type PoolRules, RULE_CHECKS } from '../pool/options.ts';
import type { RedisOptions } from './ioredis.ts';
import { RETRY_CHECKS, type RetryOptions } from './retry.ts';

/** Options of ioredis that the pool owns, each with what to say of it. */
const OWNED = {
  lazyConnect: 'the pool connects when a connection is needed',
  retryStrategy: 'a connection that breaks is replaced by the pool, never reconnected',
  reconnectOnError: 'a connection that breaks is replaced by the pool, never reconnected',
  maxRetriesPerRequest: 'see retry, which sends again only what does no harm',
  autoResendUnfulfilledCommands: 'no command is ever sent twice behind your back',
  autoResubscribe: 'a subscription belongs to the lease that made it',
  enableOfflineQueue: 'commands wait for a lease, see acquireTimeoutMs',
  enableAutoPipelining: 'the pool writes in one piece what is sent in one tick',
  monitor: 'lease a connection and call monitor() on it',
  connectTimeout: 'see connectTimeoutMs, which bounds the whole handshake',
  commandTimeout: 'see commandTimeoutMs, after which the connection is destroyed',
  socketTimeout: 'see commandTimeoutMs, after which the connection is destroyed',
  blockingTimeout: 'a blocking command has its own timeout plus commandTimeoutMs',
  connectionName: 'connections are named sp:<service>:<pool>:<pid>, with .<thread> in a worker thread, see service',
  sentinelRetryStrategy: 'the pool connects again by itself, see acquireTimeoutMs',
  sentinelCommandTimeout: 'see connectTimeoutMs, which bounds asking the sentinels, too',
  replyMapping: 'the pool is typed for the legacy mapping',
} as const satisfies Partial<Record<keyof RedisOptions, string>>;

/** Options of other pools, each with the one that it is called here. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  createTimeoutMs: 'see connectTimeoutMs, which bounds connecting',
};

type OwnedOption = keyof typeof OWNED;
type OwnRules = Omit<PoolRules, 'createTimeoutMs' | 'validateTimeoutMs' | 'destroyTimeoutMs'>;

/** How to connect, and any option of ioredis that the library does not own. */
export interface ConnectionOptions extends Omit<RedisOptions, OwnedOption> {
  /** `redis://user:password@host:port/db`, or `rediss:`; instead of `host`, `port`, `username`, `password`, `db`. */
  readonly url?: string | undefined;
  /** Name of the application in `CLIENT LIST`. Default: `npm_package_name`, else `node`. */
  readonly service?: string | undefined;
  /** How long connecting may take, handshake included, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
}

/** Settings of `defineRedisPool`: of the pool, and any option of ioredis that the pool does not own. */
export interface RedisPoolOptions extends OwnRules, ConnectionOptions {
  /** How long a reply may take, in milliseconds; blocking commands have their own timeout on top. Then the connection is destroyed. Default 5,000. */
  readonly commandTimeoutMs?: number | undefined;
  /** When a plain command whose connection broke is sent again; see the options of retry. Default `{}`. */
  readonly retry?: RetryOptions | undefined;
  /** Defining the name again with other options is an error. Default false. */
  readonly unique?: boolean | undefined;
}

const record: Check = (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object');
const anyText: Check = (value) => (value === null || typeof value === 'string' ? undefined : 'a text');
const database: Check = (value) => (value === null ? undefined : integer(0)(value));

/** ioredis takes options from the query of a URL, too, and prefers them. */
const redisUrl: Check = (value) => {
  if (typeof value !== 'string' || !/^rediss?:\/\//.test(value) || !URL.canParse(value))
    return 'a URL like redis://host:6379 or rediss://host:6380';
  const { username, password, searchParams } = new URL(value);
  if (!isDecodable(username) || !isDecodable(password)) return 'a URL with user and password percent-encoded: %25 for %';
  const strange = [...searchParams.keys()].find((option) => !Object.hasOwn(PASSED, option));
  return strange === undefined ? undefined : `a URL without "${strange}" in its query`;
};

/** Whether ioredis can decode it; it would throw when it connects. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

export const port: Check = (value) => {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value));
  return isNumber && Number.isInteger(Number(value)) && Number(value) > 0 && Number(value) < 65_536 ? undefined : 'a port from 1 to 65535';
};

const addresses: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((address) => record(address) === undefined)
    ? undefined
    : 'a list of sentinels: [{ host, port }]';

/** A Buffer does, too. */
const prefix: Check = (value) => (value instanceof Uint8Array ? undefined : anyText(value));

const scripts: Check = (value) => {
  const isScript = (script: { lua?: unknown } | null | undefined) => typeof script?.lua === 'string';
  return record(value) === undefined && Object.values(value as object).every(isScript)
    ? undefined
    : 'an object of scripts: { name: { lua, numberOfKeys } }';
};

const { createTimeoutMs: _, validateTimeoutMs: _1, destroyTimeoutMs: _2, ...RULES } = RULE_CHECKS;

/** Of the options that are not ioredis', those that all have who connect. */
export const CONNECTION_CHECKS = { url: redisUrl, service: text, connectTimeoutMs: duration(1) };

/** Of the options that are not ioredis', those of a pool. */
export const OWN_CHECKS = {
  ...RULES,
  ...CONNECTION_CHECKS,
  commandTimeoutMs: duration(1),
  retry: record,
  unique: flag,
} satisfies Record<Exclude<keyof RedisPoolOptions, keyof typeof PASSED>, Check>;

/** All other options of ioredis; the type says when one is missing. */
const PASSED = {
  Connector: anything,
  blockingTimeoutGrace: anything,
  keepAlive: anything,
  noDelay: anything,
  disableClientInfo: anything,
  clientInfoTag: anything,
  username: anyText,
  password: anyText,
  db: database,
  readOnly: anything,
  stringNumbers: anything,
  protocol: anything,
  maxLoadingRetryTime: anything,
  autoPipeliningIgnoredCommands: anything,
  offlineQueue: anything,
  commandQueue: anything,
  enableReadyCheck: anything,
  scripts: scripts,
  himportFieldsets: anything,
  keyPrefix: prefix,
  showFriendlyErrorStack: anything,
  disconnectTimeout: anything,
  tls: anything,
  name: anyText,
  role: anything,
  sentinelUsername: anyText,
  sentinelPassword: anyText,
  sentinels: addresses,
  path: text,
  family: anything,
  sentinelReconnectStrategy: anything,
  preferredSlaves: anything,
  enableTLSForSentinelMode: anything,
  sentinelTLS: anything,
  natMap: anything,
  updateSentinels: anything,
  sentinelMaxConnections: anything,
  failoverDetector: anything,
  host: text,
  port,
} satisfies Record<Exclude<keyof RedisOptions, OwnedOption>, Check>;

/** A kind of Redis pool: what defines it, the options that it alone has, and what to say of those that it has not. */
interface Kind extends ConnectionKind {
  readonly by: string;
}

/** What connects by options of ioredis: the options that are its own, and what to say of those that it has not. */
interface ConnectionKind {
  readonly own: Readonly<Record<string, Check>>;
  readonly elsewhere: Readonly<Record<string, string>>;
}

const ONE_SERVER: Kind = { by: 'defineRedisPool', own: OWN_CHECKS, elsewhere: ELSEWHERE };

/** @throws InvalidOptionError */
export function checkRedisPool(name: string, options: RedisPoolOptions, kind = ONE_SERVER): void {
  checkArgument(`${kind.by}()`, 'its name', name, text);
  const where = `${kind.by}("${name}")`;
  checkConnectionOptions(where, options, kind);
  checkMinimum(where, options);
  if (options.retry) checkOptions(`${where}: retry`, options.retry, RETRY_CHECKS);
}

/** @throws InvalidOptionError */
export function checkConnectionOptions(where: string, options: ConnectionOptions, kind: ConnectionKind): void {
  checkArgument(where, 'options', options, record);
  for (const [option, actual] of Object.entries(options)) checkOption(where, option, actual, kind);
  if (options.sentinels && !options.name) {
    throw new InvalidOptionError({ where, option: 'name', expected: 'what the sentinels call the master', actual: options.name });
  }
  if (options.url === undefined) return;
  for (const option of ['host', 'port', 'path', 'sentinels'] as const) {
    if (options[option] !== undefined)
      throw new InvalidOptionError({ where, option, expected: 'left out beside url', actual: options[option] });
  }
  const { username, password, pathname } = new URL(options.url);
  // ioredis would take that of the URL, and not say so.
  for (const [option, said] of Object.entries({ username, password, db: pathname.slice(1) })) {
    const actual = options[option as 'username'];
    if (said !== '' && actual !== undefined && actual !== null)
      throw new InvalidOptionError({ where, option, expected: 'left out: url says it', actual, secret: true });
  }
}

/** What may be a password, or a password under a name that is misspelt, is not shown. */
function checkOption(where: string, option: string, actual: unknown, kind: ConnectionKind): void {
  if (actual === undefined) return;
  const secret = !Object.hasOwn(kind.own, option) || option === 'url';
  const expected = expectedOf(option, actual, kind);
  if (expected !== undefined) throw new InvalidOptionError({ where, option, expected, actual, secret });
}

function expectedOf(option: string, actual: unknown, kind: ConnectionKind): string | undefined {
  const owned: Readonly<Record<string, string>> = { ...OWNED, ...kind.elsewhere };
  const checks: Readonly<Record<string, Check>> = { ...PASSED, ...kind.own };
  if (Object.hasOwn(owned, option)) return `left out: ${owned[option]}`;
  if (Object.hasOwn(checks, option)) return checks[option]?.(actual);
  const names = (options: object) => Object.keys(options).filter((name) => !Object.hasOwn(owned, name));
  const meant = nearestName(option, names(checks));
  const known = `known are ${names(kind.own).join(', ')} and every option of ioredis`;
  return `left out: ${meant === undefined ? '' : `did you mean ${meant}? `}${known}`;
}

/** The options that ioredis gets. */
export function ioredisOptions(options: ConnectionOptions): RedisOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(PASSED, name)));
}
