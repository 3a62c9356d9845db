import { CommandRefusedError, LeaseEndedError } from '../errors.ts';
import type { Lease } from '../pool/lease.ts';
import { closeBeside, monitorBeside } from './beside.ts';
import { classify, nameProblem } from './classify.ts';
import type { ChainableCommander, Redis, SentCommand } from './ioredis.ts';
import { ADDING, type Listener, Listeners } from './listeners.ts';
import { Recorder } from './recorder.ts';

/** What a holder is told who sends over a shared lease what needs one of its own. */
export const USE_ADVICE = 'Lease a connection for it: pool.use(async (connection) => …)';

const CONNECT_ADVICE = 'The pool connects, and replaces a connection that has ended: lease another one';
const DUPLICATE_ADVICE =
  'What it opens would outlive the lease: lease another connection of the pool, or make one with new Redis() and close it yourself';

const LEASE = Symbol('lease');

interface Guarded extends Redis {
  readonly [LEASE]: Lease<Redis>;
}

type Send = Redis['sendCommand'];
type Callback = (error: unknown, result?: unknown) => void;

/** What all guards of a connection have in common. */
const fronts = new WeakMap<Redis, object>();
/** What holders listen to; nothing of those who do not. */
const listening = new WeakMap<Lease<Redis>, Listeners>();

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
  return Object.create(front, { [LEASE]: { value: lease } });
}

/** Takes from the connection what a lease, which has ended, has put on it and opened beside it. */
export function leave(connection: Redis, lease: Lease<Redis>): void {
  listening.get(lease)?.removeAll();
  closeBeside(connection, lease);
}

function frontOf(pool: string, connection: Redis): object {
  return Object.create(connection, {
    ...methods(commandMethods(pool, connection)),
    ...methods(batchMethods(pool, connection)),
    ...methods(socketMethods(pool, connection)),
    ...methods(listenerMethods(pool, connection)),
  });
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
      const error = nameProblem(pool, sent.name) ?? refusal(pool, this[LEASE], sent.name, sent.args);
      if (!error) return connection.sendCommand(command, stream);
      sent.reject(error);
      return sent.promise;
    },
    // It opens a connection of its own and sends nothing on this one.
    monitor(this: Guarded, callback?: Callback) {
      const error = refusal(pool, this[LEASE], 'monitor', []);
      return answered(error ? Promise.reject(error) : monitorBeside(pool, connection, this[LEASE]), callback);
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

/** The pool opens connections; whoever has left, or is not alone, must not end them. */
function socketMethods(pool: string, connection: Redis): object {
  const notHis = (lease: Lease<Redis>, name: string, advice: string) =>
    lease.ended
      ? new LeaseEndedError(pool, name.toUpperCase())
      : new CommandRefusedError(pool, name, advice, 'is not for a leased connection');
  function connect(this: Guarded, callback?: Callback): Promise<never> {
    return answered(Promise.reject(notHis(this[LEASE], 'connect', CONNECT_ADVICE)), callback);
  }
  function duplicate(this: Guarded): never {
    throw notHis(this[LEASE], 'duplicate', DUPLICATE_ADVICE);
  }
  function disconnect(this: Guarded): void {
    // Like the command that does it.
    const error = refusal(pool, this[LEASE], 'quit', []);
    if (error) throw error;
    connection.disconnect();
  }
  return { connect, duplicate, disconnect, end: disconnect };
}

/** Listeners are on the connection itself, and go with their holder. */
function listenerMethods(pool: string, connection: Redis): object {
  const add = (method: keyof typeof ADDING) =>
    function (this: Guarded, event: string, listener: Listener): Redis {
      const lease = this[LEASE];
      if (lease.ended) throw new LeaseEndedError(pool, `${method}("${String(event)}")`);
      const listeners = listening.get(lease) ?? new Listeners(connection);
      listening.set(lease, listeners);
      listeners.add(this, method, event, listener);
      return this;
    };
  function off(this: Guarded, event: string, listener: Listener): Redis {
    listening.get(this[LEASE])?.remove(event, listener);
    return this;
  }
  function removeAllListeners(this: Guarded, event?: string): Redis {
    listening.get(this[LEASE])?.removeAll(event);
    return this;
  }
  function emit(this: Guarded, event: string, ...args: unknown[]): boolean {
    if (this[LEASE].ended) throw new LeaseEndedError(pool, `emit("${String(event)}")`);
    return connection.emit(event, ...args);
  }
  const adding = Object.fromEntries((Object.keys(ADDING) as (keyof typeof ADDING)[]).map((method) => [method, add(method)]));
  return { ...adding, off, removeListener: off, removeAllListeners, emit };
}

/** As ioredis does it: a callback that is given hears the same, and the rejection counts as seen. */
function answered<R>(answer: Promise<R>, callback: Callback | undefined): Promise<R> {
  if (callback) answer.then((result) => callback(null, result), callback);
  return answer;
}

function methods(members: object): PropertyDescriptorMap {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, { value }]));
}
