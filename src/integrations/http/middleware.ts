import type { IncomingMessage, ServerResponse } from 'node:http';
import { InvalidOptionError } from '../../errors.ts';
import type { Scope } from '../../scope/index.ts';
import { handle } from './listener.ts';
import { type RequestOptions, rulesOf } from './options.ts';

/** Middleware of Express and of Connect. */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

/**
 * Gives requests a scope as `scopeListener` does, for those who cannot wrap the listener: what comes after it runs in the
 * scope. Use it first. A request that has a scope already keeps that one. When the handlers after it have ended is not
 * known: the scope ends when the response is closed and no lease is held in it.
 *
 *     app.use(scopeMiddleware(scope))    // Express, Connect
 *
 * There is none for Koa, which sends a body that is a stream when all middleware has ended: wrap `koa.callback()` by
 * `scopeListener`, or its server by `scopeServer`.
 *
 * @param server The scope of the server: it outlives its requests and owns the pools.
 * @throws InvalidOptionError, ScopeClosedError.
 */
export function scopeMiddleware(server: Scope, options: RequestOptions = {}): Middleware {
  const rules = rulesOf('scopeMiddleware()', server, options);
  return function scopedMiddleware(request, response, next) {
    handle(server, request, response, rules, () => void next());
  };
}

/** What is called of an instance of Fastify. */
export interface FastifyLike {
  addHook(name: 'onRequest', hook: (request: Raw<IncomingMessage>, reply: Raw<ServerResponse>, done: () => void) => void): unknown;
}

interface Raw<T> {
  readonly raw: T;
}

/** A plugin of Fastify. */
export type Plugin = (instance: FastifyLike, options: unknown, done: () => void) => void;

/**
 * As {@link scopeMiddleware}, for Fastify: hooks and handlers of all routes run in the scope, whichever plugin they are
 * of. Register it before what adds hooks of `onRequest`, which run in the order they were added. Requests by
 * `fastify.inject()` have a scope, too, which they have not where `scopeListener` wraps the handler of the server.
 *
 *     fastify.register(scopePlugin(scope))
 *
 * @throws InvalidOptionError, ScopeClosedError.
 */
export function scopePlugin(server: Scope, options: RequestOptions = {}): Plugin {
  const rules = rulesOf('scopePlugin()', server, options);
  const plugin: Plugin = (instance, _, done) => {
    instance.addHook('onRequest', (request, reply, next) => handle(server, request.raw, reply.raw, rules, () => void next()));
    done();
  };
  return Object.assign(plugin, NOT_ENCAPSULATED);
}

/** By which Fastify knows a plugin whose hooks are also for routes outside of it. */
const NOT_ENCAPSULATED = { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'scoped-pool' };

/** What is read of the context of a request of Hono. */
export interface HonoLike {
  readonly env: unknown;
}

/** Middleware of Hono. */
// biome-ignore lint/suspicious/noConfusingVoidType: as Hono says it
export type HonoMiddleware = (context: HonoLike, next: () => Promise<void>) => Promise<Response | void>;

/**
 * As {@link scopeMiddleware}, for Hono on `@hono/node-server`. The scope ends when the response is closed and the
 * handlers have settled. Only `scopeListener` and `scopeServer` reach what reads the body when all middleware has ended:
 * the `pull` of a `ReadableStream` has no scope here, unless it is bound. The helpers of `hono/streaming` need nothing.
 *
 *     app.use(scopeHono(scope))
 *     app.get('/', (c) => c.body(new ReadableStream({ pull: currentScope().bind(pull) })))
 *
 * @throws InvalidOptionError, ScopeClosedError. The middleware itself throws InvalidOptionError where requests do not
 * come from `@hono/node-server`.
 */
export function scopeHono(server: Scope, options: RequestOptions = {}): HonoMiddleware {
  const rules = rulesOf('scopeHono()', server, options);
  return (context, next) =>
    new Promise((resolve, reject) => {
      const { incoming, outgoing } = messagesOf(context);
      // A response of no meaning, unless the handlers are called: the scope has answered.
      let answer: Response | undefined = new Response(null, ANSWERED);
      handle(server, incoming, outgoing, rules, () => {
        answer = undefined;
        // What they throw is for Hono to answer.
        return next().then(resolve, reject);
      });
      if (answer) resolve(answer);
    });
}

/** By which `@hono/node-server` knows a response that was sent already. */
const ANSWERED: ResponseInit = { headers: { 'x-hono-already-sent': 'true' } };

function messagesOf({ env }: HonoLike): { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse } {
  const { incoming, outgoing } = (env ?? {}) as { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  if (incoming && outgoing) return { incoming, outgoing };
  const expected = 'the request and the response of @hono/node-server; elsewhere wrap app.fetch by scopeFetch()';
  throw new InvalidOptionError({ where: 'scopeHono()', option: 'c.env.incoming and c.env.outgoing', expected, actual: env });
}
