import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { definePool, tryCurrentScope, withRoot, withScope } from '../../../src/index.ts';
import { until } from '../../support/until.ts';
import { poolName, poolOf, Server, turns } from '../support.ts';

const store = new AsyncLocalStorage<string>();

test("generic-pool d29: what C's release sets off for B runs in nobody's context: not C's, not B's", async () => {
  const server = new Server();
  const seen: unknown[] = [];
  const note = (step: string) => void seen.push([step, store.getStore(), tryCurrentScope()?.name]);
  server.onCreate = () => note('create');
  server.onDestroy = () => note('destroy');
  const pool = poolOf(server, { max: 1, validateAfterIdleMs: 0, validate: () => note('validate'), reset: () => server.made.length > 1 });
  await withRoot(
    async () => {
      const job = (name: string) =>
        store.run(name, () => withScope(() => pool.acquire().then((lease) => turns(2).then(() => lease.release()))));
      // C's connection is replaced when C gives it back, for B.
      await Promise.all([job('C'), job('B')]);
      await job('D');
    },
    { name: 'worker' },
  );
  const steps = ['create', 'destroy', 'create', 'validate', 'destroy'];
  expect(seen).toEqual(steps.map((step) => [step, undefined, 'worker']));
});

test("generic-pool d29: a retry after a failure, which a timer begins, does not run in the first waiter's context", async () => {
  const server = new Server();
  const seen: unknown[] = [];
  server.onCreate = () => {
    seen.push([store.getStore(), tryCurrentScope()?.name]);
    if (server.attempts === 1) throw new Error('refused');
  };
  const pool = poolOf(server);
  await withRoot(() => store.run('request 1', () => withScope(() => pool.use(() => {}), { name: 'request' })), { name: 'server' });
  expect(seen).toEqual([
    [undefined, 'server'],
    [undefined, 'server'],
  ]);
});

test('node-redis#2432, ioredis#1191, bun#38453: events of a connection run without the store of the request that opened it', async () => {
  const seen: unknown[] = [];
  const pool = definePool(poolName(), {
    max: 1,
    create: async () => {
      await turns(1);
      const socket = new EventEmitter();
      // As a socket does: later, from where it was made.
      setTimeout(() => socket.emit('message'), 1);
      return socket.on('message', () => seen.push(store.getStore()));
    },
    destroy: () => void seen.push(store.getStore()),
  });
  await withRoot(async () => {
    await store.run('request 1', () => withScope(() => pool.use(() => {})));
    await until(() => seen.length === 1);
  });
  expect(seen).toEqual([undefined, undefined]);
});

test("generic-pool d29: use(fn) runs in its caller's context, also when another's release served it", async () => {
  const pool = poolOf(new Server(), { max: 1 });
  const seen: unknown[] = [];
  await withRoot(async () => {
    const job = (name: string) => store.run(name, () => pool.use(() => turns(1).then(() => seen.push(store.getStore()))));
    await Promise.all([job('A'), job('B'), job('C')]);
  });
  expect(seen).toEqual(['A', 'B', 'C']);
});
