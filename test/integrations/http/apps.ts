import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import express, { type Request as ExpressRequest, type Response as ExpressResponse, type NextFunction } from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import type { Scope } from 'scoped-pool';
import { type RequestOptions, scopeHono, scopeListener, scopeMiddleware, scopePlugin, scopeServer } from 'scoped-pool/http';
import { before, caught, chunks, get, raw, TEXTS, type World } from './work.ts';

export type Way = 'listener' | 'server' | 'middleware';

/** How the requests of an app get their scopes. */
export interface Wiring {
  readonly way: Way;
  readonly scope: Scope;
  readonly options: RequestOptions;
}

/** Makes a server that does not listen yet. It has the routes /json, /raw, /stream, /caught and those of `TEXTS`. */
export type App = (world: World, wiring: Wiring) => Promise<Server>;

function serverOf(listener: RequestListener, { way, scope, options }: Wiring): Server {
  if (way === 'listener') return createServer(scopeListener(scope, listener, options));
  const server = createServer(listener);
  return way === 'server' ? scopeServer(scope, server, options) : server;
}

export async function expressApp(world: World, wiring: Wiring): Promise<Server> {
  const app = express();
  if (wiring.way === 'middleware') app.use(scopeMiddleware(wiring.scope, wiring.options));
  app.use((request, response, next) => void before(world, request, response).then(() => next()));
  for (const [path, text] of Object.entries(TEXTS))
    app.get(path, async (request, response) => void response.send(await text(world, request)));
  app.post('/raw', async (request, response) => void response.send(await raw(world, request)));
  app.post('/json', express.json({ limit: '10mb' }), async (request, response) => {
    const { length } = request.body.text;
    response.send(`${length}${await get(world, request).then(() => '')}`);
  });
  // By pipe() alone an acquire refused to a generator whose client has gone would be thrown to nobody.
  app.get('/stream', (request, response) => void pipeline(Readable.from(chunks(world, request)), response, () => {}));
  app.get('/caught', (request) => caught(world, request));
  app.use((error: Error, request: ExpressRequest, response: ExpressResponse, next: NextFunction) => {
    if (error.message !== 'caught') return next(error);
    world.note('error handler', request);
    response.status(418).send(error.message);
  });
  return serverOf(app, wiring);
}

export async function fastifyApp(world: World, wiring: Wiring): Promise<Server> {
  let server: Server | undefined;
  const app = fastify({
    bodyLimit: 10_000_000,
    serverFactory: (handler) => {
      server = serverOf(handler, wiring);
      return server;
    },
  });
  if (wiring.way === 'middleware') app.register(scopePlugin(wiring.scope, wiring.options));
  // In a plugin of its own, as an application is: the hook of the scope is not for itself alone.
  app.register(async (part) => {
    part.addHook('onRequest', (request, reply) => before(world, request.raw, reply.raw));
    for (const hook of ['preParsing', 'preHandler', 'onSend', 'onResponse'] as const) {
      const note = (request: { raw: IncomingMessage }, ...rest: unknown[]) => {
        world.note(hook, request.raw);
        (rest.at(-1) as () => void)();
      };
      part.addHook(hook as 'preHandler', note);
    }
    part.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null));
    for (const [path, text] of Object.entries(TEXTS)) part.get(path, (request) => text(world, request.raw));
    part.post('/raw', ({ raw: request }) => raw(world, request));
    part.post('/json', async ({ raw: request, body }) => {
      await get(world, request);
      return `${(body as { text: string }).text.length}`;
    });
    part.get('/stream', (request, reply) => reply.send(Readable.from(chunks(world, request.raw))));
    part.get('/caught', { errorHandler: (error, request, reply) => onCaught(error as Error, request.raw, reply) }, (request) =>
      caught(world, request.raw),
    );
  });
  const onCaught = ({ message }: Error, request: IncomingMessage, reply: { code(status: number): { send(body: string): unknown } }) => {
    world.note('error handler', request);
    reply.code(418).send(message);
  };
  await app.ready();
  if (!server) throw new Error('Fastify has made no server');
  return server;
}

export async function honoApp(world: World, wiring: Wiring): Promise<Server> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  if (wiring.way === 'middleware') app.use(scopeHono(wiring.scope, wiring.options));
  app.use(async ({ env }, next) => {
    await before(world, env.incoming, env.outgoing);
    await next();
    world.note('middleware after', env.incoming);
  });
  for (const [path, text] of Object.entries(TEXTS)) app.get(path, async (c) => c.text(await text(world, c.env.incoming)));
  app.post('/raw', async (c) => c.text(await raw(world, c.env.incoming)));
  app.post('/json', async (c) => {
    const { text } = await c.req.json<{ text: string }>();
    await get(world, c.env.incoming);
    return c.text(`${text.length}`);
  });
  app.get('/stream', (c) => c.body(Readable.toWeb(Readable.from(chunks(world, c.env.incoming))) as ReadableStream));
  // With an error handler of its own: the other routes keep the default one.
  const part = new Hono<{ Bindings: HttpBindings }>();
  part.get('/caught', (c) => caught(world, c.env.incoming));
  part.onError(({ message }, c) => {
    world.note('error handler', c.env.incoming);
    return c.text(message, 418);
  });
  app.route('/', part);
  return serverOf(
    getRequestListener((request, env) => app.fetch(request, env), { overrideGlobalObjects: false }),
    wiring,
  );
}

export async function koaApp(world: World, wiring: Wiring): Promise<Server> {
  const app = new Koa();
  app.silent = true;
  app.use(async (context, next) => {
    await before(world, context.req, context.res);
    try {
      await next();
    } catch (error) {
      if ((error as Error).message !== 'caught') throw error;
      world.note('error handler', context.req);
      context.status = 418;
      context.body = 'caught';
    }
    world.note('middleware after', context.req);
  });
  app.use(async (context) => {
    const { req: request, path } = context;
    const text = TEXTS[path];
    if (text) context.body = await text(world, request);
    if (path === '/raw') context.body = await raw(world, request);
    if (path === '/json') {
      const body = (await json(request)) as { text: string };
      await get(world, request);
      context.body = `${body.text.length}`;
    }
    if (path === '/stream') context.body = Readable.from(chunks(world, request));
    if (path === '/caught') await caught(world, request);
  });
  return serverOf(app.callback(), wiring);
}

/** Each framework in each way that there is for it. */
export const APPS: readonly (readonly [name: string, way: Way, app: App])[] = [
  ...(['listener', 'server', 'middleware'] as const).flatMap((way) => [
    ['Express', way, expressApp] as const,
    ['Fastify', way, fastifyApp] as const,
    ['Hono', way, honoApp] as const,
  ]),
  ['Koa', 'listener', koaApp],
  ['Koa', 'server', koaApp],
];
