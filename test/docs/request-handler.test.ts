import { expectNoLeaks } from 'scoped-pool/testing';
import { expect, it, vi } from 'vitest';

// In a file of its own: the example reads REDIS_URL when it is loaded, and nothing listens there.
it('request-handler.ts: answers 503 while Redis is down, and logs why', async () => {
  vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1');
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  const { main } = await import('../../examples/request-handler.ts');
  const { port, close } = await main();
  const { status } = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  expect(status).toBe(503);
  expect(log.mock.calls).toEqual([['GET /', expect.objectContaining({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' })]]);
  await close();
  await expectNoLeaks();
});
