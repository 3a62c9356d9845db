import { type Channel, channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';

/** What a message says; plain data but for an `error`. */
export type Message = Record<string, unknown>;

/**
 * What the library publishes on `node:diagnostics_channel`, by its names; a channel that nobody listens to costs
 * nothing. Messages are plain data; what can be told only later (an error, a time) is added to the same object.
 */
export const CHANNELS = {
  /** An acquire, from the call to the lease or the failure: `{ pool, scope, exclusive, priority }`, then `{ waits, error }`. */
  acquire: tracingChannel('scoped-pool:acquire'),
  /** A lease, from its beginning (`start`) to its end (`asyncEnd`): `{ pool, scope, exclusive }`, then `{ heldMs }`. */
  lease: tracingChannel('scoped-pool:lease'),
  /** The creation of a connection: `{ pool, scope }`, then `{ error }`. */
  connect: tracingChannel('scoped-pool:connect'),
  /** A scope, from its beginning (`start`) to its end (`asyncEnd`): `{ scope, parent? }`, then `{ error }`. */
  scope: tracingChannel('scoped-pool:scope'),
  /** A connection can be lent for the first time: `{ pool, scope, createMs }`. */
  connectionReady: channel('scoped-pool:connection:ready'),
  /** A connection is gone: `{ pool, scope, reason, ageMs, error }`; the error is what `validate` or `onDead` said, if anything. */
  connectionClosed: channel('scoped-pool:connection:closed'),
  /** No connection is open, and none can be made: `{ pool, scope, error }`. */
  poolDown: channel('scoped-pool:pool:down'),
  /** One could be made again: `{ pool, scope, downMs }`. */
  poolUp: channel('scoped-pool:pool:up'),
  /** A Redis command was sent and not answered, its connection broke or is given up: `{ pool, scope, command, error }`. */
  outcomeUnknown: channel('scoped-pool:outcome:unknown'),
  /** A lease was still held at the end of its scope, and is revoked: `{ pool, scope, holder, stack }`. */
  leaseLeaked: channel('scoped-pool:lease:leaked'),
  /** A lease is held for longer than `leakAfterMs`: `{ pool, scope, holder }`. */
  leaseOverdue: channel('scoped-pool:lease:overdue'),
  /** What could be thrown to nobody: `{ scope, from, error }`. */
  error: channel('scoped-pool:error'),
} satisfies Record<string, Channel | TracingChannel>;

/** Where ioredis publishes that it connects: `{ serverAddress, serverPort }`. */
export const IOREDIS_CONNECT: TracingChannel = tracingChannel('ioredis:connect');

/** Publishes what happened, where somebody listens: only then is the message made. */
export function publish(to: Channel, messageOf: () => Message): void {
  if (to.hasSubscribers) to.publish(messageOf());
}

/**
 * Publishes what a call does, as `TracingChannel.tracePromise` does, but not what it gives: a lease is nobody else's.
 * To be called only when `tracing.hasSubscribers`.
 *
 * @param isForgiven Whether a rejection with that error is no unhandled one, though nobody hears it.
 */
export function traced<R>(
  tracing: TracingChannel,
  message: Message,
  fn: () => R | Promise<R>,
  isForgiven: (error: unknown) => boolean = () => false,
): R | Promise<R> {
  const { start, end, asyncStart, asyncEnd } = tracing;
  const failed = (error: unknown): never => {
    message.error = error;
    tracing.error.publish(message);
    throw error;
  };
  const over = () => {
    asyncStart.publish(message);
    asyncEnd.publish(message);
  };
  const later = (promise: Promise<R>): Promise<R> => {
    const told = promise.catch(failed).finally(over);
    promise.catch((error: unknown) => void (isForgiven(error) && told.catch(() => {})));
    return told;
  };
  return start.runStores(message, () => {
    try {
      const result = fn();
      return result instanceof Promise ? later(result) : result;
    } catch (error) {
      return failed(error);
    } finally {
      end.publish(message);
    }
  });
}
