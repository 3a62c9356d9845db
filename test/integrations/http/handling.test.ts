import { currentScope } from 'scoped-pool';
import { scopeFetch } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { serverScope, start } from './server.ts';

const redis = useRedis();
const aborted = () => new Promise((resolve) => currentScope().signal.addEventListener('abort', resolve));

describe('the scope of a request', () => {
  it('is the scope of those who listen to its signal, whoever cancels it', async () => {
    const seen: string[] = [];
    const { scope, url, told } = await start(
      (_, response) => {
        currentScope().signal.addEventListener('abort', () => {
          seen.push(currentScope().name);
          response.end();
        });
      },
      { timeoutMs: 30 },
    );
    await fetch(url);
    await until(() => scope.tree().children.length === 0);
    expect([seen, told]).toMatchObject([['GET /'], [{ code: 'ERR_REQUEST_TIMEOUT' }]]);
  });

  it('tells what fails while it is closed', async () => {
    const boom = new Error('boom');
    const { scope, url, told } = await start((_, response) => {
      currentScope().onClose(() => Promise.reject(boom));
      response.end();
    });
    await fetch(url);
    await until(() => scope.tree().children.length === 0);
    expect(told).toEqual([boom]);
  });

  it('waits for a connection that the source of a cancelled body still uses', async () => {
    const store = defineRedisPool('handling', { url: redis().url, service: 'test', max: 1 });
    const scope = serverScope();
    const told: unknown[] = [];
    let began = false;
    let said: unknown;
    const pull = () =>
      store.use(async (connection) => {
        began = true;
        await aborted();
        for (let n = 0; n < 5; n++) said = await connection.echo(`${n}`);
      });
    const handler = () => new Response(new ReadableStream({ pull }));
    const response = await scopeFetch(scope, handler, { onError: (error) => told.push(error) })(new Request('http://test/'));
    await until(() => began);
    await response.body?.cancel();
    expect(scope.run(() => store.stats().inUse)).toBe(1);
    await until(() => scope.tree().children.length === 0);
    expect([said, told]).toEqual(['4', []]);
    expect(scope.run(() => store.stats())).toMatchObject({ open: 1, idle: 1, leaked: 0 });
  });
});
