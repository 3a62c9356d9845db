import { once } from 'node:events';
import { createServer, request as httpRequest, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Scope, type ScopeOptions } from 'scoped-pool';
import { type RequestOptions, scopeListener } from 'scoped-pool/http';
import { onTestFinished } from 'vitest';

/** A server of a test, and where it listens. */
export interface Started {
  readonly scope: Scope;
  readonly server: Server;
  readonly url: string;
  /** What was told to `onError`. */
  readonly told: unknown[];
}

/** The scope of a server, closed with the test. */
export function serverScope(options: ScopeOptions = {}): Scope {
  const scope = new Scope({ parent: null, name: 'server', ...options });
  onTestFinished(() => scope.close({ graceMs: 0 }).catch(() => {}));
  return scope;
}

export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A plain server whose listener is wrapped. */
export async function start(
  listener: RequestListener | ((...args: Parameters<RequestListener>) => unknown),
  options: RequestOptions = {},
): Promise<Started> {
  const scope = serverScope();
  const told: unknown[] = [];
  const server = createServer(scopeListener(scope, listener, { onError: (error) => told.push(error), ...options }));
  return { scope, server, told, url: await listen(server) };
}

/** Sends a request and goes away, `after` bytes of the answer or at once. */
export async function abandon(url: string, until: () => Promise<unknown>): Promise<void> {
  const request = httpRequest(url);
  request.on('error', () => {});
  request.end();
  await until();
  request.destroy();
}
