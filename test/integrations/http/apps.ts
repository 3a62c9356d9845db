import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import express, { type Request as ExpressRequest, type Response as ExpressResponse, type NextFunction } from 'express';
import { fastify } from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import type { Scope } from 'scoped-pool';
import { type RequestOptions, scopeHono, scopeListener, scopeMiddleware, scopePlugin, scopeServer } from 'scoped-pool/http';
import type { RedisPool } from 'scoped-pool/redis';

export type Way = 'listener' | 'server' | 'middleware';

/** How the requests of an app get their scopes. */
export interface Wiring {
  readonly way: Way;
  readonly scope: Scope;
  readonly options: RequestOptions;
}

/** What an app works with, and whom it tells where it has been. */
export interface World {
  readonly store: RedisPool;
  readonly note: (place: string, request: IncomingMessage) => void;
}

/** Makes a server that does not listen yet. It has the routes /get, /json, /raw, /stream, /caught and /full. */
export type App = (world: World, wiring: Wiring) => Promise<Server>;

/** Each request of the tests has an id of its own, which is the name of its scope as well. */
export function idOf({ url = '' }: { readonly url?: string | undefined }): string {
  return new URL(url, 'http://localhost').searchParams.get('id') ?? '';
}

/** The requests that a server has not ended: what is open in its scope, but its door. */
export function requestsOf(scope: Scope): readonly string[] {
  return scope
    .tree()
    .children.map(({ name }) => name)
    .filter((name) => name !== 'http server');
}

export const CHUNK = 'x'.repeat(40_000);
export const CHUNKS = 20;

/** A body that is made while it is sent, with commands to Redis, and longer than what is buffered. */
async function* chunks({ store, note }: World, request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for (let n = 0; n < CHUNKS; n++) {
      note('generator', request);
      await (n % 4 === 0 ? store.incr('chunks') : sleep(1));
      note('generator', request);
      yield Buffer.from(CHUNK);
    }
  } finally {
    note('generator end', request);
  }
}

async function get({ store, note }: World, request: IncomingMessage): Promise<string> {
  note('handler', request);
  await store.set(`id:${idOf(request)}`, idOf(request));
  note('handler', request);
  await sleep(1);
  return `${await store.get(`id:${idOf(request)}`)}`;
}

function raw({ note }: World, request: IncomingMessage): Promise<string> {
  let length = 0;
  note('handler', request);
  return new Promise((resolve) => {
    request.on('data', (chunk: Buffer) => {
      note('data', request);
      length += chunk.length;
    });
    request.on('end', () => {
      note('end', request);
      resolve(`${length}`);
    });
  });
}

/** Notes that an async middleware, a response's 'finish' and 'close' have been. */
async function before({ note }: World, request: IncomingMessage, response: NodeJS.EventEmitter): Promise<void> {
  response.on('finish', () => note('finish', request));
  response.on('close', () => note('close', request));
  note('middleware', request);
  await sleep(1);
  note('middleware', request);
}

async function caught({ store, note }: World, request: IncomingMessage): Promise<never> {
  note('handler', request);
  await store.ping();
  throw new Error('caught');
}

/** Waits for a connection of a pool that is held by somebody else. */
async function full({ store, note }: World, request: IncomingMessage): Promise<string> {
  note('handler', request);
  return store.use(() => 'never', { acquireTimeoutMs: 20 });
}

function serverOf(listener: RequestListener, { way, scope, options }: Wiring): Server {
  if (way === 'listener') return createServer(scopeListener(scope, listener, options));
  const server = createServer(listener);
  return way === 'server' ? scopeServer(scope, server, options) : server;
}

export async function expressApp(world: World, wiring: Wiring): Promise<Server> {
  const app = express();
  if (wiring.way === 'middleware') app.use(scopeMiddleware(wiring.scope, wiring.options));
  app.use((request, response, next) => void before(world, request, response).then(() => next()));
  app.get('/get', async (request, response) => void response.send(await get(world, request)));
  app.post('/raw', async (request, response) => void response.send(await raw(world, request)));
  app.post('/json', express.json({ limit: '10mb' }), async (request, response) => {
    const { length } = request.body.text;
    response.send(`${length}${await get(world, request).then(() => '')}`);
  });
  app.get('/stream', (request, response) => void Readable.from(chunks(world, request)).pipe(response));
  app.get('/caught', (request) => caught(world, request));
  app.get('/full', async (request, response) => void response.send(await full(world, request)));
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
    part.get('/get', ({ raw: request }) => get(world, request));
    part.post('/raw', ({ raw: request }) => raw(world, request));
    part.post('/json', async ({ raw: request, body }) => {
      await get(world, request);
      return `${(body as { text: string }).text.length}`;
    });
    part.get('/stream', (request, reply) => reply.send(Readable.from(chunks(world, request.raw))));
    part.get('/caught', { errorHandler: (error, request, reply) => onCaught(error as Error, request.raw, reply) }, (request) =>
      caught(world, request.raw),
    );
    part.get('/full', ({ raw: request }) => full(world, request));
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
  app.get('/get', async (c) => c.text(await get(world, c.env.incoming)));
  app.post('/raw', async (c) => c.text(await raw(world, c.env.incoming)));
  app.post('/json', async (c) => {
    const { text } = await c.req.json<{ text: string }>();
    await get(world, c.env.incoming);
    return c.text(`${text.length}`);
  });
  app.get('/stream', (c) => c.body(Readable.toWeb(Readable.from(chunks(world, c.env.incoming))) as ReadableStream));
  app.get('/full', async (c) => c.text(await full(world, c.env.incoming)));
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
    if (path === '/get') context.body = await get(world, request);
    if (path === '/raw') context.body = await raw(world, request);
    if (path === '/json') {
      const { text } = (await json(request)) as { text: string };
      await get(world, request);
      context.body = `${text.length}`;
    }
    if (path === '/stream') context.body = Readable.from(chunks(world, request));
    if (path === '/caught') await caught(world, request);
    if (path === '/full') context.body = await full(world, request);
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
