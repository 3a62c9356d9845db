import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scope } from 'scoped-pool';
import type { RedisPool } from 'scoped-pool/redis';

/** What an app works with, and whom it tells where it has been. */
export interface World {
  readonly store: RedisPool;
  readonly note: (place: string, request: IncomingMessage) => void;
}

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
export async function* chunks({ store, note }: World, request: IncomingMessage): AsyncGenerator<Buffer> {
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

export async function get({ store, note }: World, request: IncomingMessage): Promise<string> {
  note('handler', request);
  await store.set(`id:${idOf(request)}`, idOf(request));
  note('handler', request);
  await sleep(1);
  return `${await store.get(`id:${idOf(request)}`)}`;
}

export function raw({ note }: World, request: IncomingMessage): Promise<string> {
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
export async function before({ note }: World, request: IncomingMessage, response: NodeJS.EventEmitter): Promise<void> {
  response.on('finish', () => note('finish', request));
  response.on('close', () => note('close', request));
  note('middleware', request);
  await sleep(1);
  note('middleware', request);
}

export async function caught({ store, note }: World, request: IncomingMessage): Promise<never> {
  note('handler', request);
  await store.ping();
  throw new Error('caught');
}

/** Waits for a connection of a pool that is held by somebody else. */
async function full({ store, note }: World, request: IncomingMessage): Promise<string> {
  note('handler', request);
  return store.use(() => 'never', { acquireTimeoutMs: 20 });
}

/** A transaction over several turns, on a connection of its own. */
function transaction(pauseMs: number) {
  return ({ store, note }: World, request: IncomingMessage): Promise<string> =>
    store.use(async (connection) => {
      const id = idOf(request);
      await connection.multi({ pipeline: false });
      note('transaction', request);
      await sleep(pauseMs);
      await connection.set(`id:${id}`, id);
      await connection.get(`id:${id}`);
      const replies = await connection.exec();
      note('transaction', request);
      return `${[replies?.at(-1)].flat().at(-1)}`;
    });
}

/** Routes that answer with text. All but one answer with the id of the request. */
export const TEXTS: Readonly<Record<string, (world: World, request: IncomingMessage) => Promise<string>>> = {
  '/get': get,
  '/full': full,
  '/transaction': transaction(1),
  '/slow': transaction(60),
};
