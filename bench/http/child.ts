// A process of its own: on Node 20 an AsyncLocalStorage cannot be switched off again.
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import Fastify from 'fastify';
import type { Subject } from './subjects.ts';

/** What a child is asked: begin to count processor time, or say what there was since. */
export type Question = 'begin' | 'end';

/** Where it listens; that it counts; processor time in microseconds. */
export type Answer = number;

const subject = JSON.parse(process.argv[2] ?? '') as Subject;

async function listenerOf({ framework }: Subject): Promise<RequestListener> {
  if (framework === 'express') {
    const app = express();
    app.get('/', (_, response) => void response.json({ hello: 'world' }));
    return app as unknown as RequestListener;
  }
  let listener: RequestListener | undefined;
  const app = Fastify({
    serverFactory(handler) {
      listener = handler as RequestListener;
      return createServer();
    },
  });
  app.get('/', async () => ({ hello: 'world' }));
  await app.ready();
  return listener as RequestListener;
}

async function main(): Promise<void> {
  process.once('disconnect', () => process.exit());
  const server = createServer(await wrapped(await listenerOf(subject)));
  if (subject.wrap === 'scopeServer') {
    const { Scope } = await import('../../src/index.ts');
    const { scopeServer } = await import('../../src/integrations/http/index.ts');
    scopeServer(new Scope({ parent: null, name: 'server' }), server);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let before = process.cpuUsage();
  process.on('message', (question: Question) => {
    const { user, system } = process.cpuUsage(before);
    if (question === 'begin') before = process.cpuUsage();
    tell(question === 'begin' ? 0 : user + system);
  });
  tell((server.address() as AddressInfo).port);
}

async function wrapped(listener: RequestListener): Promise<RequestListener> {
  if (subject.wrap === 'storage.run') {
    const storage = new AsyncLocalStorage();
    return (request, response) => storage.run({ request }, listener, request, response);
  }
  if (subject.wrap !== 'scopeListener') return listener;
  const { Scope } = await import('../../src/index.ts');
  const { scopeListener } = await import('../../src/integrations/http/index.ts');
  return scopeListener(new Scope({ parent: null, name: 'server' }), listener);
}

function tell(answer: Answer): void {
  process.send?.(answer);
}

await main();
