import { type Outcome, RedisConnectionError, ScopedPoolError } from '../errors.ts';
import type { SentCommand } from './ioredis.ts';

/**
 * Replies by which a server says that it has not executed the command, and would at another time or as another server. By
 * more than their first word: what a script has done before it answered `BUSY, come back later` is done.
 */
const REFUSAL = new RegExp(
  `^(?:EXECABORT .*because of: )?(?:${[
    'LOADING \\S+ is loading ',
    "READONLY (?:You can't write against a read only|Can not run script with write flag) ",
    'MASTERDOWN Link with MASTER is down',
    'CLUSTERDOWN (?:The cluster is down|Hash slot not served)',
    'TRYAGAIN Multiple keys request ',
    '(?:MOVED|ASK) \\d+ \\S+$',
    'BUSY \\S+ is busy running a ',
    'NOREPLICAS Not enough good replicas',
    'UNBLOCKED force unblock from blocking operation',
  ].join('|')})|^ERR max number of clients`,
);

/** What ioredis says of a command that it did not write, for its connection was gone. */
const NOT_WRITTEN = new Set(['Connection is closed.', "Stream isn't writeable and enableOfflineQueue options is false"]);

/** Where commands are sent, and who is told what became of them. */
export interface Sender {
  readonly pool: string;
  /** How many commands wait for their reply. */
  readonly queue: { readonly length: number };
  /** Told of each error, as the caller of the command will get it. */
  onFailed(command: SentCommand, error: Error): void;
}

/**
 * Sends a command so that the error of a broken connection says what became of it. ioredis writes at once or not at all,
 * and what it has written it puts in its queue; from then on nobody can know whether the server has executed it.
 */
export function sendTellingOutcome<R>(sender: Sender, command: SentCommand, send: () => R): R {
  const before = sender.queue.length;
  const { reject } = command;
  let isWritten = false;
  command.reject = (error) => {
    // Of a command that was late ioredis says so again, when its connection closes.
    command.reject = reject;
    const told = tell(sender.pool, command.name, error, isWritten);
    sender.onFailed(command, told);
    reject.call(command, told);
  };
  const sent = send();
  isWritten = sender.queue.length > before;
  return sent;
}

function tell(pool: string, command: string, error: Error, isWritten: boolean): Error {
  if (error instanceof ScopedPoolError) return error;
  if (error.name === 'ReplyError') return isRefusal(error) ? new RedisConnectionError(pool, command, 'rejected', error) : error;
  if (isWritten) return new RedisConnectionError(pool, command, 'unknown', error);
  return NOT_WRITTEN.has(error.message) ? new RedisConnectionError(pool, command, 'not-sent', error) : error;
}

/** What a script has done before one of its commands was refused, such as PUBLISH, is done. */
function isRefusal({ message }: Error): boolean {
  return REFUSAL.test(message) && !message.includes(' script: ');
}

/** What a transaction failed with: when the server has refused its commands for what it is, it would execute them at another time. */
export function tellOfTransaction(pool: string, error: unknown): unknown {
  const { previousErrors: refused = [] } = error as { readonly previousErrors?: readonly unknown[] };
  const isRefused = refused.length > 0 && refused.every((one) => outcomeOf(one) === 'rejected');
  return isRefused && outcomeOf(error) === undefined ? new RedisConnectionError(pool, 'exec', 'rejected', error as Error) : error;
}

/** What an error says of whether its command was executed; nothing where it is an answer to the command itself. */
export function outcomeOf(error: unknown): Outcome | undefined {
  return error instanceof ScopedPoolError ? error.outcome : undefined;
}
