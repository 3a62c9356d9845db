import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type ListenOptions } from 'node:net';
import { atRoot } from '../context.ts';
import { InspectionNotServedError } from '../errors.ts';
import { type Check, checkOptions } from '../options.ts';
import { messageOf } from '../redact.ts';
import { isForeign } from './foreign.ts';
import { watchLeaks } from './leaks.ts';
import { watchOpenings } from './openings.ts';
import { inspectProcess } from './process.ts';
import { checkPath, makeFolder, socketFolder, socketPath } from './socket.ts';
import { scopesText } from './text.ts';

/** Settings of `serveInspection`. */
export interface InspectionOptions {
  /** A port of 127.0.0.1 to listen at, 0 for any that is free, in place of a Unix socket that is this user's alone. */
  readonly port?: number | undefined;
}

/** Serves what this process has open, until it is closed. It does not keep the process alive. */
export interface InspectionServer extends AsyncDisposable {
  /** What `scoped-pool monitor --process` takes: the path of the socket, or a URL. */
  readonly address: string;
  /** Later calls do nothing. */
  close(): Promise<void>;
}

const WHERE = 'serveInspection()';
const MOST_PORT = 65_535;
const MOST_SOCKETS = 20;
/** A socket over which nothing goes for so long, in milliseconds, is closed. */
const IDLE_MS = 10_000;
const isPort: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_PORT ? undefined : `a port from 0 to ${MOST_PORT}`;
const CHECKS = { port: isPort } satisfies Record<keyof InspectionOptions, unknown>;

/**
 * Serves what this process has open to `scoped-pool monitor`, which finds it by itself where no port is given, and to
 * `curl`: as JSON at `/`, as text at `/scopes`. Nobody else's page can read it. The socket is one for the whole process:
 * it is served until all who have asked for it have closed it.
 *
 * @throws InvalidOptionError, InspectionNotServedError when it cannot listen there.
 */
export async function serveInspection(options: InspectionOptions = {}): Promise<InspectionServer> {
  checkOptions(WHERE, options, CHECKS);
  watchOpenings();
  watchLeaks();
  return atRoot(() => (options.port === undefined ? shareSocket() : servePort(options.port)));
}

async function servePort(port: number): Promise<InspectionServer> {
  const server = createServer(answer);
  await listen(server, { port, host: '127.0.0.1' }).catch((error: unknown) => {
    throw new InspectionNotServedError(`127.0.0.1:${port}`, error);
  });
  const bound = server.address();
  return served(server, `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : port}/`);
}

interface Sharing {
  readonly serving: Promise<InspectionServer>;
  users: number;
}
let sharing: Sharing | undefined;

async function shareSocket(): Promise<InspectionServer> {
  sharing ??= { serving: serveSocket(), users: 0 };
  const mine = sharing;
  mine.users++;
  const server = await mine.serving.catch((error: unknown) => {
    leave(mine);
    throw error;
  });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= leave(mine) ? server.close() : Promise.resolve();
    return closed;
  };
  return { address: server.address, close, [Symbol.asyncDispose]: close };
}

/** @returns whether nobody uses it any more. */
function leave(mine: Sharing): boolean {
  mine.users--;
  if (mine.users === 0 && sharing === mine) sharing = undefined;
  return mine.users === 0;
}

async function serveSocket(): Promise<InspectionServer> {
  const folder = socketFolder();
  if (folder === undefined) throw new InspectionNotServedError('a Unix socket', new Error('there are none on this system'));
  const path = socketPath(folder);
  const server = createServer(answer);
  try {
    checkPath(path);
    makeFolder(folder);
    await clear(path);
    await listen(server, { path });
  } catch (error) {
    throw new InspectionNotServedError(path, error);
  }
  // Node does it when a server closes, but not when the process exits.
  const tidy = () => rmSync(path, { force: true });
  process.once('exit', tidy);
  server.once('close', () => process.removeListener('exit', tidy));
  return served(server, path);
}

/** Takes away the socket of a process that had our number, and has ended without doing it. */
async function clear(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
  });
  if (code === 'ECONNREFUSED') rmSync(path, { force: true });
}

async function listen(server: Server, where: ListenOptions): Promise<void> {
  // It rejects with what 'error' tells.
  const listening = once(server, 'listening');
  // Not shared with the other processes of a cluster, of which each has something else open.
  server.listen({ ...where, exclusive: true });
  await listening;
}

function served(server: Server, address: string): InspectionServer {
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return closed;
  };
  // What is told is kept until it is read, which some never do.
  server.maxConnections = MOST_SOCKETS;
  server.timeout = IDLE_MS;
  server.unref();
  server.on('connection', (socket) => socket.unref());
  return { address, close, [Symbol.asyncDispose]: close };
}

const TYPES = { json: 'application/json', text: 'text/plain; charset=utf-8' };

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [status, type, body] = answerTo(request);
  response.writeHead(status, { 'content-type': TYPES[type], 'cache-control': 'no-store', connection: 'close' }).end(body);
}

/** Throws nothing: whoever looks must not end what is looked at. */
function answerTo(request: IncomingMessage): readonly [status: number, type: keyof typeof TYPES, body: string] {
  try {
    if (isForeign(request)) return [403, 'text', 'Ask from this machine, by its own name: http://127.0.0.1\n'];
    if (request.method !== 'GET') return [405, 'text', 'Only GET is answered.\n'];
    if (request.url === '/') return [200, 'json', JSON.stringify(inspectProcess())];
    if (request.url === '/scopes') return [200, 'text', scopesText()];
    return [404, 'text', 'There is / with JSON, and /scopes with text.\n'];
  } catch (error) {
    return [500, 'text', `What is open cannot be told: ${messageOf(error)}\n`];
  }
}
