// One of several web servers of a fan-out: it subscribes once, and each page that is open gets what comes, as server-sent
// events. When the browser goes away, the scope of its request ends the loop and frees its buffer; when the server closes,
// the loops end first. `npm run example:fan-out` starts three of them; SIGTERM or Ctrl-C ends this one in order.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { currentScope, Scope } from 'scoped-pool';
import { scopeServer } from 'scoped-pool/http';
import { type Subscriber, subscribeTo } from 'scoped-pool/pubsub';
import type { Tick } from './ticker.ts';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const page = readFileSync(new URL('index.html', import.meta.url));

/** Sends what comes until nobody reads it any more. Of a browser that is slow the oldest are dropped, and it hears of a gap. */
async function live(ticks: Subscriber<Tick>, response: ServerResponse): Promise<void> {
  const { signal } = currentScope();
  const send = (event: string, data: unknown) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const sendState = () => send('state', { server: process.pid, redis: ticks.status });
  for (const event of ['up', 'down']) currentScope().on(ticks, event, sendState);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  sendState();
  for await (const event of ticks) {
    const hasRoom = event.type === 'message' ? send('tick', event.message) : send('gap', event);
    if (!hasRoom) await once(response, 'drain', { signal });
  }
  response.end();
}

/** Starts the server; port 0 is any that is free. Closing its scope ends it. */
export async function main(port = 0): Promise<{ readonly url: string; readonly scope: Scope }> {
  const scope = new Scope({ parent: null, name: 'server', onSuppressed: console.error });
  const ticks = scope.run(() => subscribeTo<Tick>('ticks', { url, maxBuffered: 100 }));
  await ticks.synced();
  const listener = ({ url: path }: IncomingMessage, response: ServerResponse) => {
    if (path === '/live') return live(ticks, response);
    if (path === '/tree') return response.setHeader('content-type', 'application/json').end(JSON.stringify(scope.tree()));
    return response.setHeader('content-type', 'text/html; charset=utf-8').end(page);
  };
  const server = scopeServer(scope, createServer(listener), { onError: console.error }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, scope };
}

if (process.argv[1] === import.meta.filename) {
  const { url: address, scope } = await main(Number(process.env.PORT ?? 0));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void scope.close());
  console.log(`${address}; Ctrl-C ends it`);
}
