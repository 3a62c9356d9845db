import { ScopedPoolError } from '../errors.ts';
import type { Lease } from '../pool/lease.ts';
import type { Redis } from './ioredis.ts';
import { outcomeOf } from './outcome.ts';

/** What sends on a connection that is lent for it. */
export type Run = (connection: Redis) => Promise<unknown> | undefined;

/** Not an async function: what it costs is felt with every command. */
export function untilReply(lease: Lease<Redis>, run: Run, onError: (error: unknown) => unknown): Promise<unknown> {
  let sent: Promise<unknown> | undefined;
  try {
    sent = run(lease.resource);
  } catch (error) {
    lease.release();
    throw error;
  }
  return Promise.resolve(sent).then(
    (reply) => {
      lease.release();
      return reply;
    },
    (error: unknown) => {
      lease.release();
      // ioredis says that the connection is closed; the scope has closed it.
      if (lease.interruption) throw Object.assign(lease.interruption, { outcome: outcomeOf(error) });
      return onError(error);
    },
  );
}

/** @throws the error of an acquire, which says of the command that wanted a connection that it was not sent. */
export function unsent(error: unknown): never {
  throw error instanceof ScopedPoolError && error.outcome === undefined ? Object.assign(error, { outcome: 'not-sent' }) : error;
}
