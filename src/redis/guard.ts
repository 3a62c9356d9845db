import type { EventEmitter } from 'node:events';
import { CommandRefusedError, LeaseEndedError } from '../errors.ts';
import type { Lease } from '../pool/lease.ts';
import { classify } from './classify.ts';
import type { ChainableCommander, Redis, SentCommand } from './ioredis.ts';
import { Recorder } from './recorder.ts';

/** What a holder is told who sends over a shared lease what needs one of its own. */
export const USE_ADVICE = 'Lease a connection for it: pool.use(async (connection) => …)';

const LEASE = Symbol('lease');

interface Guarded extends Redis {
  readonly [LEASE]: Lease<Redis>;
}

/** What all guards of a connection have in common. */
interface Front {
  readonly members: object;
  /** What holders have added, to be removed when they leave. */
  readonly listeners: [event: string, listener: Listener][];
}

type Listener = (...args: unknown[]) => void;
type Send = Redis['sendCommand'];

const ADD_LISTENER = ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const;

const fronts = new WeakMap<Redis, Front>();

/**
 * What a lease shows of a connection. Everything is the connection's own, but commands pass here first: after the end
 * of the lease, and for what must not travel over a shared one, they are rejected and nothing reaches the server.
 */
export function guard(pool: string, connection: Redis, lease: Lease<Redis>): Redis {
  let front = fronts.get(connection);
  if (!front) {
    front = frontOf(pool, connection);
    fronts.set(connection, front);
  }
  return Object.create(front.members, { [LEASE]: { value: lease } });
}

/** Removes the listeners that holders have added to the connection. */
export function removeListeners(connection: Redis): void {
  const listeners = fronts.get(connection)?.listeners.splice(0) ?? [];
  for (const [event, listener] of listeners) connection.off(event, listener);
}

function frontOf(pool: string, connection: Redis): Front {
  const listeners: Front['listeners'] = [];
  const members = Object.create(connection, {
    ...methods(commandMethods(pool, connection)),
    ...methods(batchMethods(pool, connection)),
    ...methods(socketMethods(pool, connection)),
    ...methods(listenerMethods(pool, connection, listeners)),
  });
  return { members, listeners };
}

/** Why it must not be sent, or done, on the lease. */
function refusal(pool: string, lease: Lease<Redis>, name: string, args: readonly unknown[]): Error | undefined {
  if (lease.ended) return new LeaseEndedError(pool, name.toUpperCase());
  return lease.exclusive || classify(name, args) === 'shared' ? undefined : new CommandRefusedError(pool, name, USE_ADVICE);
}

function commandMethods(pool: string, connection: Redis): object {
  return {
    sendCommand(this: Guarded, command: Parameters<Send>[0], stream: Parameters<Send>[1]) {
      const sent = command as unknown as SentCommand;
      const error = refusal(pool, this[LEASE], sent.name, sent.args);
      if (!error) return connection.sendCommand(command, stream);
      sent.reject(error);
      return sent.promise;
    },
    // It opens a connection of its own and sends nothing on this one.
    async monitor(this: Guarded) {
      const error = refusal(pool, this[LEASE], 'monitor', []);
      if (error) throw error;
      return connection.monitor();
    },
  };
}

/** On a shared lease a batch is recorded and leaves in one piece, so that nobody else's command comes between. */
function batchMethods(pool: string, connection: Redis): object {
  const start = (kind: 'pipeline' | 'multi') =>
    function (this: Guarded, batch?: unknown, options?: unknown): unknown {
      const lease = this[LEASE];
      if (lease.exclusive) return (connection[kind] as (...given: unknown[]) => unknown).call(this, batch, options);
      const replay = async (blocksForMs: number, play: (connection: Redis) => Promise<unknown>): Promise<unknown> => {
        if (lease.ended) throw new LeaseEndedError(pool, 'EXEC');
        if (blocksForMs > 0) throw new CommandRefusedError(pool, 'a blocking command', USE_ADVICE);
        return play(connection);
      };
      const { scriptsSet } = connection as unknown as { scriptsSet: object };
      return Recorder.start({ pool, kind, scripts: Object.keys(scriptsSet), replay }, batch, options) satisfies ChainableCommander;
    };
  return { pipeline: start('pipeline'), multi: start('multi') };
}

/** Whoever has left, or is not alone, must not end the connection. */
function socketMethods(pool: string, connection: Redis): object {
  function disconnect(this: Guarded): void {
    // Like the command that does it.
    const error = refusal(pool, this[LEASE], 'quit', []);
    if (error) throw error;
    connection.disconnect();
  }
  return { disconnect, end: disconnect };
}

/** Listeners are the connection's own, and go with the holder. */
function listenerMethods(pool: string, connection: Redis, listeners: Front['listeners']): object {
  const add = (method: (typeof ADD_LISTENER)[number]) =>
    function (this: Guarded, event: string, listener: Listener): Redis {
      if (this[LEASE].ended) throw new LeaseEndedError(pool, `${method}("${event}")`);
      (connection as EventEmitter)[method](event, listener);
      listeners.push([event, listener]);
      return this;
    };
  function off(this: Guarded, event: string, listener: Listener): Redis {
    connection.off(event, listener);
    return this;
  }
  function removeAllListeners(this: Guarded): Redis {
    // The library's stay.
    removeListeners(connection);
    return this;
  }
  const adding = Object.fromEntries(ADD_LISTENER.map((method) => [method, add(method)]));
  return { ...adding, off, removeListener: off, removeAllListeners, emit: connection.emit.bind(connection) };
}

function methods(members: object): PropertyDescriptorMap {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, { value }]));
}
