import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from 'scoped-pool';
import { scopeServer } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { listen, serverScope } from './server.ts';

const redis = useRedis();

describe('the limits of the scope of a server', () => {
  it('hold for all its requests together, and the others wait', async () => {
    const store = defineRedisPool('http limits', { url: redis().url, service: 'test', max: 10 });
    const scope = serverScope({ limits: { 'http limits': 2 } });
    let inUse = 0;
    const server = scopeServer(
      scope,
      createServer(async (_, response) => {
        await store.use(async () => {
          inUse = Math.max(inUse, store.stats().inUse);
          await sleep(10);
        });
        response.end();
      }),
    );
    const url = await listen(server);
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(url)).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(inUse).toBe(2);
    expect(scope.run(() => store.stats())).toMatchObject({ max: 2, created: 2, inUse: 0, pending: 0 });
  });

  it('are refused at once when they make no sense, with what came', () => {
    expect(() => new Scope({ parent: null, name: 'server', limits: { redis: 0 } })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(/limits.*redis.*integer from 1.*got 0/s) }),
    );
  });
});
