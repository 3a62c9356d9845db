// A test of code that uses a pool: without Redis, in a root of its own, and with nothing left open.
// In vitest, `aroundEach((run) => withTestRoot(run))` and `afterAll(() => expectNoLeaks())` do it for all tests of a file.
import assert from 'node:assert/strict';
import { defineRedisPool } from 'scoped-pool/redis';
import { expectNoLeaks, replacePool, withTestRoot } from 'scoped-pool/testing';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });

/** What is tested: the first to come gets the seat. */
async function takeSeat(seat: string, who: string): Promise<boolean> {
  return (await redis.setnx(`example:${seat}`, who)) === 1;
}

/** As much of Redis as the test needs. */
class FakeRedis {
  readonly values = new Map<string, string>();

  async setnx(key: string, value: string): Promise<number> {
    if (this.values.has(key)) return 0;
    this.values.set(key, value);
    return 1;
  }
}

export async function main(): Promise<void> {
  await withTestRoot(async () => {
    const fake = new FakeRedis();
    replacePool(redis, fake);
    assert.equal(await takeSeat('1A', 'ann'), true);
    assert.equal(await takeSeat('1A', 'bob'), false);
    assert.deepEqual([...fake.values], [['example:1A', 'ann']]);
  });
  await expectNoLeaks();
}

if (process.argv[1] === import.meta.filename) await main();
