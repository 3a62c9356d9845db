import type { Redis } from '../../redis/ioredis.ts';

/** What came: where, and by which pattern. */
export type Hear<M> = (channel: string, message: M, pattern: string | undefined, sharded: boolean) => void;

/** The server says that it has unsubscribed, asked or not; told before ioredis takes that for an answer. */
export type HearUnsubscribed = (kind: string, channel: string) => void;

/** Hears every message of a connection, as text or as Buffer. */
export function hear<M>(connection: Redis, binary: boolean, fn: Hear<M>, onUnsubscribed: HearUnsubscribed): void {
  staySubscribed(connection, onUnsubscribed);
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
function staySubscribed(connection: Redis, onUnsubscribed: HearUnsubscribed): void {
  const { condition } = connection as unknown as { condition: { subscriber: SubscriptionSet | false } };
  let { subscriber } = condition;
  Object.defineProperty(condition, 'subscriber', {
    get: () => subscriber,
    set: (value: SubscriptionSet | false) => {
      if (!value) return;
      const { del } = value;
      value.del = (kind, channel) => {
        onUnsubscribed(kind, channel);
        del.call(value, kind, channel);
      };
      subscriber = value;
    },
  });
}

/** What ioredis remembers of what a connection is subscribed to. */
interface SubscriptionSet {
  del(kind: string, channel: string): void;
}
