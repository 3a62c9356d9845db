// An HTTP server with a scope of its own, which owns the connections, and a scope for each request below it.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Scope } from 'scoped-pool';
import { readiness, scopeServer } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });

async function handle({ url: path }: IncomingMessage, response: ServerResponse): Promise<void> {
  // The second waits until somebody pushes some news. When its client goes away, so does the command.
  if (path === '/') response.end(`visit ${await redis.incr('example:visits')}\n`);
  else if (path === '/news') response.end(`${(await redis.blpop('example:news', 0))?.[1]}\n`);
  else response.writeHead(404).end();
}

/** Starts the server; port 0 is any that is free. */
export async function main(port = 0): Promise<{ readonly port: number; readonly scope: Scope; close(): Promise<void> }> {
  const scope = new Scope({ parent: null, name: 'server', limits: { redis: { max: 5, acquireTimeoutMs: 1_000 } } });
  const server = createServer(async (request, response) => {
    if (request.url === '/ready') response.writeHead(readiness(scope).status).end();
    else await handle(request, response);
  });
  // What a request fails with is answered with 503 when no connection could be had, else with 500.
  scopeServer(scope, server, { onError: (error, request) => console.error(request, error) }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  // Stops listening, waits for requests, cancels those that do not end within graceMs, closes the connections.
  return { port: (server.address() as AddressInfo).port, scope, close: () => scope.close() };
}

if (process.argv[1] === import.meta.filename) {
  const server = await main(3000);
  console.log(`http://127.0.0.1:${server.port}/ and /news; Ctrl-C ends it`);
  process.once('SIGINT', () => void server.close());
}
