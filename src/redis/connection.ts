import { isMainThread, threadId } from 'node:worker_threads';
import { after, cancel } from '../clock.ts';
import { ConnectTimeoutError } from '../errors.ts';
import { ConnectionCondition } from './condition.ts';
import { Redis, type RedisOptions, type SentCommand } from './ioredis.ts';
import { sendTellingOutcome } from './outcome.ts';
import { hearRefusal } from './refusal.ts';
import { ReplyWatch } from './reply-watch.ts';
import { hideSecrets, withoutArguments } from './secrets.ts';

/** How long a connection that was asked to close may take before its socket is destroyed, in milliseconds. */
const CLOSE_MS = 500;

/** What a connection is made of. */
export interface ConnectionConfig {
  readonly pool: string;
  readonly url: string | undefined;
  readonly options: RedisOptions;
  /** Part of the name that `CLIENT LIST` shows. */
  readonly service: string;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
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

const conditions = new WeakMap<Redis, ConnectionCondition>();

/** Connects, and resolves when the server has greeted; to be called in the context that the socket is to live in. */
export async function connect(config: ConnectionConfig, signal: AbortSignal): Promise<Redis> {
  const connection = create(config);
  try {
    await connected(connection, config, signal);
  } catch (error) {
    cut(connection);
    throw withoutArguments(error);
  }
  equip(connection, config);
  return connection;
}

function create({ pool, service, url, options: given }: ConnectionConfig): Redis {
  const connectionName = `sp:${service}:${pool}:${whoWeAre()}`.replace(/[^\x21-\x7e]/g, '-');
  const options: RedisOptions = { ...given, ...ONE_CONNECTION, connectTimeout: 0, connectionName };
  return url === undefined ? new Redis(options) : new Redis(url, options);
}

/** Asked with each connection: a start-up snapshot wakes in another process. */
function whoWeAre(): string {
  return isMainThread ? `${process.pid}` : `${process.pid}.${threadId}`;
}

function connected(connection: Redis, { pool, connectTimeoutMs }: ConnectionConfig, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let cause: Error | undefined;
    const timer = after(connectTimeoutMs, () => {
      reject(new ConnectTimeoutError(pool, connection.status === 'connect', connectTimeoutMs, cause && withoutArguments(cause)));
    });
    connection.on('error', (error) => {
      cause = error;
      // ioredis would go on after some of them: without its database, in another one.
      if (error.name === 'ReplyError') reject(error);
    });
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    // ioredis says only that the connection is closed; why, it has said before.
    const connecting = connection.connect().catch((error: unknown) => Promise.reject(cause ?? error));
    const hushed = hearRefusal(pool, connection, reject);
    connecting
      .finally(() => {
        cancel(timer);
        hushed();
      })
      .then(resolve, reject);
  });
}

/** Whether the server will say the same next time: who we are or what we want there is wrong. */
export function isFinal(error: unknown): boolean {
  return (
    error instanceof Error && error.name === 'ReplyError' && /^(?:WRONGPASS|NOAUTH|NOPERM|ERR (?:DB index|invalid DB))/.test(error.message)
  );
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

/** Whether nothing is left on the connection of whoever had it. */
export function isClean(connection: Redis): boolean {
  return conditions.get(connection)?.isClean ?? true;
}

/** Closes, so that the server has forgotten the connection when this resolves; one that does not answer is cut. */
export async function disconnect(connection: Redis): Promise<void> {
  if (connection.status === 'end') return;
  const closed = new Promise<void>((resolve) => connection.once('end', resolve));
  const timer = after(isOpen(connection) ? CLOSE_MS : 1, () => cut(connection));
  connection.disconnect();
  await closed;
  cancel(timer);
}

export function onEnd(connection: Redis, report: () => void): void {
  connection.once('close', report);
}

function cut(connection: Redis): void {
  connection.disconnect();
  connection.stream?.destroy();
}

/** From now on every command is looked at on its way out; what is written in one tick leaves in one piece, behind the first. */
function equip(connection: Redis, { pool, commandTimeoutMs }: ConnectionConfig): void {
  const condition = new ConnectionCondition(connection);
  const watch = new ReplyWatch(pool, connection, commandTimeoutMs);
  const send = connection.sendCommand;
  conditions.set(connection, condition);
  connection.sendCommand = (command, stream) => {
    const sent = command as unknown as SentCommand;
    const { commandQueue } = connection;
    condition.onSend(sent.name, sent.args);
    watch.onSend();
    // The first leaves at once: one user alone would only be later.
    if (commandQueue.length > 0) cork(connection);
    return sendTellingOutcome(pool, sent, commandQueue, () => {
      // Last: what it hides must not stand in the cause.
      hideSecrets(sent);
      return send.call(connection, command, stream);
    });
  };
}

function cork({ stream }: Redis): void {
  if (!stream?.writable || stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(uncork, stream);
}

function uncork(stream: Redis['stream']): void {
  stream.uncork();
}
