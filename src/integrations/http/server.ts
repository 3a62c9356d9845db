import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import { after, cancel, type Timer } from '../../clock.ts';
import { InvalidOptionError } from '../../errors.ts';
import { Scope } from '../../scope/index.ts';
import { handle, type Listener } from './listener.ts';
import { type RequestOptions, rulesOf } from './options.ts';
import { JOINED, type RequestScope, scopeOfMessage } from './request-scope.ts';

/** By which a server tells of a request. */
const REQUESTS: readonly unknown[] = ['request', 'checkContinue', 'checkExpectation'];

/** By which it hands a connection over for good, as to a WebSocket. */
const HANDED_OVER: readonly unknown[] = ['upgrade', 'connect'];

/** How often connections are closed that have become idle. */
const SWEEP_MS = 50;
/** How long answers may take that are on their way when the requests have been cancelled: less than the scope waits for the server. */
const LAST_MS = 900;

/**
 * Gives a server, whoever has made it, a scope: its requests are handled as `scopeListener` says, and when the scope
 * closes, the server stops listening at once, lets the requests that run finish, closes connections that idle, and then
 * the pools are closed. After the `graceMs` of the close what still runs is cancelled and, at last, cut off.
 *
 *     scopeServer(scope, createServer(listener))
 *     scopeServer(scope, app.listen(3000))         // Express, Koa
 *     scopeServer(scope, serve({ fetch: hono.fetch }))
 *
 * @returns the same server.
 * @throws InvalidOptionError, ScopeClosedError, ScopeCancelledError.
 */
export function scopeServer<S extends NetServer>(scope: Scope, server: S, options: RequestOptions = {}): S {
  const where = 'scopeServer()';
  const rules = rulesOf(where, scope, options);
  checkServer(where, server);
  const all = trackSockets(server, 'connection');
  // Over which no request has come yet: Node does not count them as idle. Of TLS a request knows the socket inside alone.
  const fresh = trackSockets(server, 'setSecureContext' in server ? 'secureConnection' : 'connection');
  keepDoor(scope, server, { all, fresh });
  const { emit } = server;
  server.emit = function emitRequest(this: unknown, event: unknown, ...args: unknown[]): boolean {
    const told = [event, ...args];
    const [request, response] = args as [IncomingMessage, ServerResponse];
    const isRequest = REQUESTS.includes(event);
    if (isRequest || HANDED_OVER.includes(event)) fresh.delete(request.socket);
    if (!isRequest) return Reflect.apply(emit, this, told) as boolean;
    joinAll(server, event as 'request');
    handle(scope, request, response, rules, () => {
      Reflect.apply(emit, this, told);
      return JOINED;
    });
    return true;
  };
  return server;
}

const joined = new WeakSet<object>();

/** Has the scope of a request know what its listeners promise, whenever they were added; of an emitter nobody hears it. */
function joinAll(server: Server, event: 'request'): void {
  const listeners = server.rawListeners(event) as Listener[];
  if (listeners.every((listener) => joined.has(listener))) return;
  for (const listener of listeners) server.removeListener(event, listener);
  for (const listener of listeners) server.on(event, joined.has(listener) ? listener : joining(listener));
}

function joining(listener: Listener): Listener {
  function join(this: unknown, ...args: Parameters<Listener>): void {
    const call = () => listener.apply(this, args);
    const scope = scopeOfMessage(args[0]);
    if (scope) scope.join(call);
    else call();
  }
  joined.add(join);
  // By this name an emitter knows what a function stands for, when that is removed.
  return Object.assign(join, { listener });
}

/** While the server listens, a child that is opened by hand: it is closed first of all, while requests, children, too, are waited for. */
function keepDoor(scope: Scope, server: Server, sockets: Sockets): void {
  let shut = openDoor(scope, server, sockets);
  server.on('close', () => shut());
  // Once more, after it was closed.
  server.on('listening', () => {
    if (scope.state === 'open' && !scope.isStopped && shut()) shut = openDoor(scope, server, sockets);
  });
}

/** @returns takes the door away, and says whether it is gone. */
function openDoor(scope: Scope, server: Server, sockets: Sockets): () => boolean {
  let isClosed = false;
  const door = new Scope({ parent: scope, name: 'http server' });
  const close = () => {
    // By somebody else, and it may listen again.
    if (isClosed) return;
    for (const request of scope.children) (request as Partial<Ending>).endConnection?.();
    return stop(server, sockets, scope.signal);
  };
  door.onClose(close, { name: 'http server', timeoutMs: Number.POSITIVE_INFINITY });
  return () => {
    if (door.state === 'open' && !server.listening) {
      isClosed = true;
      void door.close();
    }
    return door.state !== 'open';
  };
}

/** The sockets that are open, of those that such an event tells of. */
function trackSockets(server: Server, event: 'connection' | 'secureConnection'): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on(event, (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

/** What is called of a request, of whichever copy of the library. */
type Ending = Pick<RequestScope, 'endConnection'>;

/** The connections of a server. */
interface Sockets {
  /** With those that speak no HTTP any more, or not yet: server.closeAllConnections() leaves them open. */
  readonly all: ReadonlySet<Socket>;
  readonly fresh: ReadonlySet<Socket>;
}

/** Resolves when all its connections are closed. */
function stop(server: Server, { all, fresh }: Sockets, cancelled: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let isClosed = false;
    let sweeping: Timer | undefined;
    let last: Timer | undefined;
    // Those that were handed to it, as by another server, its close does not wait for.
    const sweep = () => {
      server.closeIdleConnections();
      if (!isClosed || all.size > 0) {
        sweeping = after(SWEEP_MS, sweep);
        return;
      }
      cancel(last);
      cancelled.removeEventListener('abort', cut);
      resolve();
    };
    const cut = () => {
      last = after(LAST_MS, () => {
        server.closeAllConnections();
        for (const socket of all) socket.destroy();
      });
    };
    server.close(() => {
      isClosed = true;
      cancel(sweeping);
      sweep();
    });
    for (const socket of fresh) socket.destroy();
    sweep();
    if (cancelled.aborted) cut();
    else cancelled.addEventListener('abort', cut, { once: true });
  });
}

function checkServer(where: string, server: unknown): asserts server is Server {
  const { emit, closeAllConnections } = (server ?? {}) as Partial<Server>;
  if (typeof emit === 'function' && typeof closeAllConnections === 'function') return;
  const expected = 'a server of node:http or node:https; for http2 wrap the listener by scopeListener()';
  throw new InvalidOptionError({ where, option: 'its second argument', expected, actual: server });
}
