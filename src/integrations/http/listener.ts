import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { callable, checkArgument } from '../../options.ts';
import { isRefusal } from '../../scope/failures.ts';
import type { Scope } from '../../scope/index.ts';
import { refuse, turnAway } from './answer.ts';
import { type RequestOptions, type Rules, rulesOf } from './options.ts';
import { RequestScope, scopeOfMessage } from './request-scope.ts';

/** What Node calls for each request, of `http` and `https`. */
export type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What Node calls for each request in the compatibility API of `http2`. */
export type Http2Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown;

/** What it calls of all of them. */
export type AnyListener = (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => void;

/**
 * Wraps what handles the requests of a server: each runs in a scope of its own, a child of `server`, which owns the pools.
 * In it run the listener, whatever it awaits, and all listeners of request and response: body parsers, streams, hooks.
 *
 * The scope ends when the response is closed and the listener has settled, if it gives a promise. When the client goes
 * away before, it is cancelled: acquires that wait are refused, none begins, `currentScope().signal` aborts. What is still
 * leased after `graceMs` is revoked and its connection closed, never given back. What the listener throws is answered
 * with 500, or with 503 and Retry-After when no connection could be had; so are requests while `server` closes.
 *
 *     createServer(scopeListener(scope, app))                                            // Express
 *     createServer(scopeListener(scope, koa.callback()))                                 // Koa
 *     Fastify({ serverFactory: (handler) => createServer(scopeListener(scope, handler)) })
 *     createServer(scopeListener(scope, getRequestListener(hono.fetch)))                 // Hono
 *
 * @param server The scope of the server: it outlives its requests and owns the pools.
 * @throws InvalidOptionError, ScopeClosedError.
 */
export function scopeListener(server: Scope, listener: Listener, options?: RequestOptions): AnyListener;
export function scopeListener(server: Scope, listener: Http2Listener, options?: RequestOptions): AnyListener;
export function scopeListener(server: Scope, listener: Listener | Http2Listener, options: RequestOptions = {}): AnyListener {
  const where = 'scopeListener()';
  checkArgument(where, 'its listener', listener, callable);
  const rules = rulesOf(where, server, options);
  return function scopedListener(this: unknown, ...given) {
    // Of http2, too: what is used here is the same.
    const [request, response] = given as Parameters<Listener>;
    handle(server, request, response, rules, () => (listener as Listener).call(this, request, response));
  };
}

/** Runs what handles a request in a scope of its own, or in the one that it has already. */
export function handle(server: Scope, request: IncomingMessage, response: ServerResponse, rules: Rules, handler: () => unknown): void {
  const known = scopeOfMessage(request);
  if (known) return known.join(handler);
  try {
    new RequestScope(server, request, rules).handle(request, response, handler);
  } catch (error) {
    if (isRefusal(error)) return turnAway(response, error);
    // Of the function that names it.
    refuse(response, error);
    rules.tell(error, 'name()');
  }
}
