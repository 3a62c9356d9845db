// Optimistic locking: what is read between WATCH and EXEC needs a connection on which nobody else is.
import { withRoot } from 'scoped-pool';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = defineRedisPool('redis', { url, max: 10 });

/** Moves money, however many others move some of it at the same time. */
async function transfer(from: string, to: string, amount: number): Promise<void> {
  await redis.use(async (connection) => {
    for (;;) {
      await connection.watch(from);
      const balance = Number(await connection.get(from));
      if (balance < amount) throw new Error(`${from} has ${balance}, not ${amount}`);
      const done = await connection.multi().decrby(from, amount).incrby(to, amount).exec();
      // null: somebody else has changed the balance since.
      if (done) return;
    }
  });
}

/** @returns the balances after ten transfers at once. */
export async function main(): Promise<readonly number[]> {
  return withRoot(async () => {
    await redis.mset('example:ann', 100, 'example:bob', 0);
    await Promise.all(Array.from({ length: 10 }, () => transfer('example:ann', 'example:bob', 7)));
    const balances = await redis.mget('example:ann', 'example:bob');
    await redis.del('example:ann', 'example:bob');
    return balances.map(Number);
  });
}

if (process.argv[1] === import.meta.filename) console.log(`balances: ${(await main()).join(' and ')}`);
