// A server whose page shows its pool live, and what becomes of a connection that a request never gives back.
// `npm run example:http` starts it; SIGTERM or Ctrl-C ends it in order.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AcquireTimeoutError, Scope } from 'scoped-pool';
import { readiness, scopeServer } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';

const redis = defineRedisPool('redis', { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', max: 10, acquireTimeoutMs: 3_000 });
const page = readFileSync(new URL('index.html', import.meta.url));

const routes = new Map<string, (response: ServerResponse, server: Scope) => unknown>([
  ['/', (response) => response.setHeader('content-type', 'text/html; charset=utf-8').end(page)],
  ['/ready', (response, server) => json(response, readiness(server).status, readiness(server))],
  ['/state', (response, server) => json(response, 200, { ...readiness(server), stats: redis.stats(), tree: server.tree() })],
  ['/visit', async (response) => response.end(`visit ${await redis.incr('example:visits')}`)],
  ['/slow', (response) => redis.use(() => sleep(2_000)).then(() => response.end('held a connection for 2 s'))],
  ['/leak', leak],
]);

/** What not to do: nobody releases the lease. It is revoked, and its connection closed, once the request has ended. */
async function leak(response: ServerResponse): Promise<void> {
  await redis.acquire();
  await sleep(2_000);
  response.end('answered, and the lease is still held');
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body));
}

/** Starts the server; port 0 is any that is free. Closing its scope ends it. */
export async function main(port = 0): Promise<{ readonly url: string; readonly scope: Scope }> {
  const scope = new Scope({ parent: null, name: 'server', limits: { redis: 5 }, onSuppressed: console.error });
  await scope.run(() => redis.ping()); // without Redis it does not start
  const handle = async ({ url: target = '/' }: IncomingMessage, response: ServerResponse) => {
    const route = routes.get(target.replace(/\?.*/, ''));
    if (!route) return response.writeHead(404).end();
    try {
      await route(response, scope);
    } catch (error) {
      console.error(error);
      response.writeHead(error instanceof AcquireTimeoutError ? 503 : 500).end(); // 503: no connection could be had
    }
  };
  const server = scopeServer(scope, createServer(handle), { graceMs: 1_000, onError: console.error }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, scope };
}

if (process.argv[1] === import.meta.filename) {
  const { url, scope } = await main(Number(process.env.PORT ?? 0));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void scope.close());
  console.log(`${url}; Ctrl-C ends it`);
}
