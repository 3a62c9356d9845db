import { CommandRefusedError, LeaseEndedError } from '../errors.ts';
import type { Lease } from '../pool/lease.ts';
import { classify } from './classify.ts';
import type { Redis, SentCommand } from './ioredis.ts';
import { Recorder } from './recorder.ts';

/** What a holder is told who sends over a shared lease what needs one of its own. */
export const USE_ADVICE = 'Lease a connection for it: pool.use(async (connection) => …)';

const EMITTER = ['on', 'once', 'off', 'addListener', 'removeListener', 'removeAllListeners', 'prependListener', 'emit'] as const;

const fronts = new WeakMap<Redis, object>();

/**
 * What a lease shows of a connection. Everything is the connection's own, but commands pass here first: after the end
 * of the lease, and for what must not travel over a shared one, they are rejected and nothing reaches the server.
 */
export function guard(pool: string, connection: Redis, lease: Lease<Redis>): Redis {
  const refuse = (command: SentCommand): Error | undefined => {
    if (lease.ended) return new LeaseEndedError(pool, command.name.toUpperCase());
    if (lease.exclusive || classify(command.name, command.args) === 'shared') return undefined;
    return new CommandRefusedError(pool, command.name, USE_ADVICE);
  };
  const guarded: Redis = Object.create(frontOf(connection));
  Object.defineProperty(guarded, 'sendCommand', {
    value: (command: Parameters<Redis['sendCommand']>[0], stream: Parameters<Redis['sendCommand']>[1]) => {
      const sent = command as unknown as SentCommand;
      const error = refuse(sent);
      if (!error) return connection.sendCommand(command, stream);
      sent.reject(error);
      return sent.promise;
    },
  });
  if (!lease.exclusive) record(guarded, pool, connection, lease);
  return guarded;
}

/** On a shared lease a batch is recorded and leaves in one piece, so that nobody else's command comes between. */
function record(guarded: Redis, pool: string, connection: Redis, lease: Lease<Redis>): void {
  const replay = async (exclusive: boolean, batch: (connection: Redis) => Promise<unknown>): Promise<unknown> => {
    if (lease.ended) throw new LeaseEndedError(pool, 'exec');
    if (exclusive) throw new CommandRefusedError(pool, 'a blocking command', USE_ADVICE);
    return batch(connection);
  };
  for (const kind of ['pipeline', 'multi'] as const) {
    Object.defineProperty(guarded, kind, { value: (batch: unknown) => Recorder.start({ pool, kind, replay }, batch) });
  }
}

/** The part of the guard that is the same for every lease of a connection: listeners are the connection's own. */
function frontOf(connection: Redis): object {
  const known = fronts.get(connection);
  if (known) return known;
  const front = Object.create(connection);
  for (const method of EMITTER) Object.defineProperty(front, method, { value: connection[method].bind(connection) });
  fronts.set(connection, front);
  return front;
}
