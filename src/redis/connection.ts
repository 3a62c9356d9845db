import { isMainThread, threadId } from 'node:worker_threads';
import { after, cancel } from '../clock.ts';
import { ConnectTimeoutError } from '../errors.ts';
import { type Equipment, equip, onOutdated } from './equip.ts';
import { Redis, type RedisOptions } from './ioredis.ts';
import { hearRefusal } from './refusal.ts';
import { withoutArguments } from './secrets.ts';

/** How long a connection that was asked to close may take before its socket is destroyed, in milliseconds. */
const CLOSE_MS = 500;
/** The same, for one that owes us replies: it may be dead. */
const CLOSE_UNANSWERED_MS = 20;

/** What a connection is made of. */
export interface ConnectionConfig {
  /** Part of the name that `CLIENT LIST` shows. */
  readonly name: string;
  /** Whose it is, for errors: `pool "redis"`. */
  readonly owner: string;
  readonly url: string | undefined;
  readonly options: RedisOptions;
  /** The same, in front of it. */
  readonly service: string;
  readonly connectTimeoutMs: number;
}

/** One ioredis instance is one physical connection: ioredis neither reconnects nor sends anything again. The pool heals. */
const ONE_CONNECTION: RedisOptions = {
  lazyConnect: true,
  retryStrategy: () => null,
  reconnectOnError: null,
  maxRetriesPerRequest: null,
  enableOfflineQueue: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  enableAutoPipelining: false,
};

/** Connects, and resolves when the server has greeted; to be called in the context that the socket is to live in. */
export async function connect(config: ConnectionConfig & Equipment, signal: AbortSignal): Promise<Redis> {
  const connection = await dial(config, signal);
  equip(connection, config);
  return connection;
}

/** Connects, with nothing that looks after its commands. */
export async function dial(config: ConnectionConfig, signal: AbortSignal): Promise<Redis> {
  const connection = create(config);
  try {
    await connected(connection, config, signal);
  } catch (error) {
    cut(connection);
    throw withoutArguments(error);
  }
  return connection;
}

function create({ name, service, url, options: given }: ConnectionConfig): Redis {
  const connectionName = `sp:${service}:${name}:${whoWeAre()}`.replace(/[^\x21-\x7e]/g, '-');
  const options: RedisOptions = { ...given, ...ONE_CONNECTION, connectTimeout: 0, connectionName };
  return url === undefined ? new Redis(options) : new Redis(url, options);
}

/** Asked with each connection: a start-up snapshot wakes in another process. */
function whoWeAre(): string {
  return isMainThread ? `${process.pid}` : `${process.pid}.${threadId}`;
}

function connected(connection: Redis, { owner, connectTimeoutMs }: ConnectionConfig, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let cause: Error | undefined;
    const timer = after(connectTimeoutMs, () => {
      // With TLS there may be a server that does not shake hands.
      const reached = connection.stream?.connecting === false;
      reject(new ConnectTimeoutError(owner, reached ? 'greeting' : 'connecting', connectTimeoutMs, cause && withoutArguments(cause)));
    });
    connection.on('error', (error) => {
      cause = error;
      // ioredis would go on after some of them: without its database, in another one.
      if (error.name === 'ReplyError') reject(error);
    });
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    // ioredis says only that the connection is closed; why, it has said before.
    const connecting = connection.connect().catch((error: unknown) => Promise.reject(cause ?? error));
    const hushed = hearRefusal(owner, connection, reject);
    connecting
      .finally(() => {
        cancel(timer);
        hushed();
      })
      // Without its ready check ioredis 5 calls one ready that it has given up.
      .then(() => (cause !== undefined && !isUsable(connection) ? reject(cause) : resolve()), reject);
  });
}

/** Whether the server will say the same next time: who we are or what we want there is wrong. */
export function isFinal(error: unknown): boolean {
  // What all sentinels said.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isFinal);
  return (
    error instanceof Error && error.name === 'ReplyError' && /^(?:WRONGPASS|NOAUTH|NOPERM|ERR (?:DB index|invalid DB))/.test(error.message)
  );
}

/** Asks the server whether it is there; that the user may not ask is an answer, too. */
export async function ping(connection: Redis): Promise<void> {
  await connection.ping().catch((error: Error) => {
    if (!error.message.startsWith('NOPERM')) throw error;
  });
}

/**
 * Whether the connection looks alive, as far as can be seen without asking the server: a socket that was destroyed or
 * ended by the other side is not readable, one that we have ended is not writable.
 */
export function isUsable({ status, stream }: Redis): boolean {
  return status === 'ready' && stream.readable && stream.writable;
}

/** Whether the other end would hear that the connection closes. */
function isOpen({ stream }: Partial<Redis>): boolean {
  return Boolean(stream?.readable && stream.writable && !stream.destroyed);
}

/** Closes, so that the server has forgotten the connection when this resolves; one that does not answer is cut. */
export async function disconnect(connection: Redis): Promise<void> {
  if (connection.status === 'end') return;
  const closed = new Promise<void>((resolve) => connection.once('end', resolve));
  const timer = after(isOpen(connection) ? patienceMs(connection) : 1, () => cut(connection));
  connection.disconnect();
  await closed;
  cancel(timer);
}

function patienceMs({ commandQueue }: Redis): number {
  return commandQueue.length > 0 ? CLOSE_UNANSWERED_MS : CLOSE_MS;
}

/** Reports, with the reason, that the connection has ended by itself, or is to be replaced. */
export function onDead(connection: Redis, report: (reason: unknown) => void): void {
  let reason: unknown;
  connection.on('error', (error) => {
    reason = error;
  });
  connection.once('close', () => report(reason ?? new Error('the connection was closed by the server, or on the way to it')));
  onOutdated(connection, report);
}

/** Destroys the socket; for the end of one that has ended already, ioredis would wait two seconds. */
export function cut(connection: Redis): void {
  if (!connection.stream?.closed || connection.status === 'reconnecting') Redis.prototype.disconnect.call(connection);
  connection.stream?.destroy();
}
