// An HTTP server with a scope of its own, which owns the connections, and a scope for each request below it.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AcquireTimeoutError, Scope, withScope } from 'scoped-pool';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });

async function handle({ url: path }: IncomingMessage, response: ServerResponse): Promise<void> {
  // The second waits until somebody pushes some news. When its client goes away, so does the command.
  if (path === '/') response.end(`visit ${await redis.incr('example:visits')}\n`);
  else if (path === '/news') response.end(`${(await redis.blpop('example:news', 0))?.[1]}\n`);
  else response.writeHead(404).end();
}

/** Runs a request in a scope that is cancelled when the client has gone, and ends when the handler has ended. */
function inScope(server: Scope, request: IncomingMessage, response: ServerResponse): void {
  const gone = new AbortController();
  response.once('close', () => response.writableFinished || gone.abort(new Error('the client has gone')));
  const options = { parent: server, name: `${request.method} ${request.url}`, signal: gone.signal };
  withScope(() => handle(request, response), options).catch((error: unknown) => {
    if (gone.signal.aborted) return;
    console.error(error);
    if (response.headersSent) response.destroy();
    // 503: no connection could be had. 500: anything else; other errors of the library have codes of their own.
    else response.writeHead(error instanceof AcquireTimeoutError ? 503 : 500).end();
  });
}

/** Starts the server; port 0 is any that is free. */
export async function main(port = 0): Promise<{ readonly port: number; readonly scope: Scope; close(): Promise<void> }> {
  const scope = new Scope({ parent: null, name: 'server', limits: { redis: { max: 5, acquireTimeoutMs: 1_000 } } });
  const server = createServer((request, response) => inScope(scope, request, response)).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.close();
    // Waits for requests, cancels those that do not end within graceMs, closes the connections.
    await scope.close();
  };
  return { port: (server.address() as AddressInfo).port, scope, close };
}

if (process.argv[1] === import.meta.filename) {
  const server = await main(3000);
  console.log(`http://127.0.0.1:${server.port}/ and /news; Ctrl-C ends it`);
  process.once('SIGINT', () => void server.close());
}
