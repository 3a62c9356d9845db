import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { after, cancel, type Timer } from '../../clock.ts';
import { InvalidOptionError } from '../../errors.ts';
import { Scope } from '../../scope/index.ts';
import { handle, type Listener } from './listener.ts';
import { type RequestOptions, rulesOf } from './options.ts';
import { scopeOfMessage } from './request-scope.ts';

/** By which a server tells of a request. */
const REQUESTS: readonly unknown[] = ['request', 'checkContinue', 'checkExpectation'];

/** By which it hands a connection over for good, as to a WebSocket. */
const HANDED_OVER: readonly unknown[] = ['upgrade', 'connect'];

/** How often connections are closed that have become idle. */
const SWEEP_MS = 50;
/** How long answers may take that are on their way when the requests have been cancelled. */
const LAST_MS = 1_000;

/** What is called of a server of `http` or `https`. */
export type ServerLike = Pick<
  Server,
  'on' | 'removeListener' | 'rawListeners' | 'emit' | 'close' | 'closeIdleConnections' | 'closeAllConnections'
>;

/**
 * Gives a server, whoever has made it, a scope: its requests are handled as `scopeListener` says, and when the scope
 * closes, the server stops listening at once, lets the requests that run finish, closes connections that idle, and then
 * the pools are closed. After the `graceMs` of the close what still runs is cancelled and, at last, cut off.
 *
 *     scopeServer(scope, createServer(listener))
 *     scopeServer(scope, app.listen(3000))         // Express, Koa
 *     scopeServer(scope, fastify.server)
 *     scopeServer(scope, serve({ fetch: hono.fetch }))
 *
 * @returns the same server.
 * @throws InvalidOptionError, ScopeClosedError.
 */
export function scopeServer<S extends ServerLike>(scope: Scope, server: S, options: RequestOptions = {}): S {
  const where = 'scopeServer()';
  const rules = rulesOf(where, scope, options);
  checkServer(where, server);
  const { emit } = server;
  const all = trackSockets(server, 'connection');
  // Over which no request has come yet: Node does not count them as idle. Of TLS a request knows the socket inside alone.
  const fresh = trackSockets(server, 'setSecureContext' in server ? 'secureConnection' : 'connection');
  server.emit = function emitRequest(this: unknown, event: unknown, ...args: unknown[]): boolean {
    const told = [event, ...args];
    const [request, response] = args as [IncomingMessage, ServerResponse];
    if (REQUESTS.includes(event) || HANDED_OVER.includes(event)) fresh.delete(request.socket);
    if (!REQUESTS.includes(event)) return Reflect.apply(emit, this, told) as boolean;
    handle(scope, request, response, rules, () => void Reflect.apply(emit, this, told));
    return true;
  };
  for (const listener of server.rawListeners('request')) join(server, listener as Listener);
  // A child that is opened by hand is closed first of all, while requests, which are children, too, are waited for.
  const door = new Scope({ parent: scope, name: 'http server' });
  door.onClose(() => stop(server, { all, fresh }, scope.signal), { name: 'http server', timeoutMs: Number.POSITIVE_INFINITY });
  return server;
}

/** Lets the scope of a request know what a listener promises; of an emitter nobody hears it. */
function join(server: ServerLike, listener: Listener): void {
  server.removeListener('request', listener);
  server.on('request', function joined(this: unknown, ...args: Parameters<Listener>) {
    scopeOfMessage(args[0])?.join(() => listener.apply(this, args));
  });
}

/** The sockets that are open, of those that such an event tells of. */
function trackSockets(server: ServerLike, event: 'connection' | 'secureConnection'): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on(event, (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

/** The connections of a server. */
interface Sockets {
  /** With those that speak no HTTP any more, or not yet: server.closeAllConnections() leaves them open. */
  readonly all: Iterable<Socket>;
  readonly fresh: Iterable<Socket>;
}

/** Resolves when all its connections are closed. */
function stop(server: ServerLike, { all, fresh }: Sockets, cancelled: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let isClosed = false;
    let sweeping: Timer | undefined;
    let last: Timer | undefined;
    server.close(() => {
      isClosed = true;
      cancel(sweeping);
      cancel(last);
      resolve();
    });
    for (const socket of fresh) socket.destroy();
    const sweep = () => {
      server.closeIdleConnections();
      sweeping = after(SWEEP_MS, sweep);
    };
    sweep();
    const cut = () => {
      if (isClosed) return;
      last = after(LAST_MS, () => {
        server.closeAllConnections();
        for (const socket of all) socket.destroy();
      });
    };
    if (cancelled.aborted) cut();
    else cancelled.addEventListener('abort', cut, { once: true });
  });
}

function checkServer(where: string, server: unknown): void {
  const { emit, closeAllConnections } = (server ?? {}) as Partial<ServerLike>;
  if (typeof emit === 'function' && typeof closeAllConnections === 'function') return;
  const expected = 'a server of node:http or node:https; for http2 wrap the listener by scopeListener()';
  throw new InvalidOptionError({ where, option: 'its second argument', expected, actual: server });
}
