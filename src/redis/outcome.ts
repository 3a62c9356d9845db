import { RedisConnectionError, ScopedPoolError } from '../errors.ts';
import type { SentCommand } from './ioredis.ts';

/** Replies by which a server says that it has not executed the command, and would at another time or as another server. */
const REFUSAL = /^(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS) |^ERR max number of clients/;

/** What ioredis says of a command that it did not write, for its connection was gone. */
const NOT_WRITTEN = new Set(['Connection is closed.', "Stream isn't writeable and enableOfflineQueue options is false"]);

/**
 * Sends a command so that the error of a broken connection says what became of it. ioredis writes at once or not at all,
 * and what it has written it puts in its queue; from then on nobody can know whether the server has executed it.
 *
 * @param queue How many commands wait for their reply.
 */
export function sendTellingOutcome<R>(pool: string, command: SentCommand, queue: { readonly length: number }, send: () => R): R {
  const before = queue.length;
  const { reject } = command;
  let isWritten = false;
  command.reject = (error) => reject.call(command, told(pool, command.name, error, isWritten));
  const sent = send();
  isWritten = queue.length > before;
  return sent;
}

function told(pool: string, command: string, error: Error, isWritten: boolean): Error {
  if (error instanceof ScopedPoolError) return error;
  if (error.name === 'ReplyError') return REFUSAL.test(error.message) ? new RedisConnectionError(pool, command, 'rejected', error) : error;
  if (isWritten) return new RedisConnectionError(pool, command, 'unknown', error);
  return NOT_WRITTEN.has(error.message) ? new RedisConnectionError(pool, command, 'not-sent', error) : error;
}
