import type { Redis } from '../redis/ioredis.ts';

/** What came: where, and by which pattern. */
export type Hear<M> = (channel: string, message: M, pattern: string | undefined, sharded: boolean) => void;

/** Hears every message of a connection, as text or as Buffer. */
export function hear<M>(connection: Redis, binary: boolean, fn: Hear<M>): void {
  staySubscribed(connection);
  const suffix = binary ? 'Buffer' : '';
  connection.on(`message${suffix}`, (channel: string | Buffer, message: M) => fn(`${channel}`, message, undefined, false));
  connection.on(`smessage${suffix}`, (channel: string | Buffer, message: M) => fn(`${channel}`, message, undefined, true));
  connection.on(`pmessage${suffix}`, (pattern: string, channel: string | Buffer, message: M) => fn(`${channel}`, message, pattern, false));
}

/**
 * Has ioredis take the connection for a subscribed one to its end. It believes the count in the answer to an
 * unsubscription, which the server counts apart for sharded channels and for all others: at the end of the last of
 * one sort, ioredis would throw away the messages of the other.
 */
function staySubscribed(connection: Redis): void {
  const { condition } = connection as unknown as { condition: { subscriber: unknown } };
  let subscriber = condition.subscriber;
  Object.defineProperty(condition, 'subscriber', {
    get: () => subscriber,
    set: (value: unknown) => {
      if (value) subscriber = value;
    },
  });
}
