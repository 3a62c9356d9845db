import type { TestRedis } from '../../support/redis.ts';

const CHUNK = 5_000;

/** Adds entries whose field `n` counts from `first`. @returns how many there are then. */
export async function addNumbers(redis: TestRedis, key: string, count: number, first = 0): Promise<number> {
  for (let done = 0; done < count; done += CHUNK) {
    const pipeline = redis.observer.pipeline();
    for (let at = done; at < Math.min(done + CHUNK, count); at++) pipeline.xadd(key, '*', 'n', first + at);
    await pipeline.exec();
  }
  return first + count;
}

/** Kills every connection of a pool, again and again. @returns ends that, and says how many it killed. */
export function killConnections(redis: TestRedis, namePrefix: string, everyMs: number): () => number {
  let killed = 0;
  const kill = async () => {
    const clients = await redis.clients(namePrefix);
    for (const { id } of clients) killed += Number(await redis.observer.client('KILL', 'ID', id as string));
  };
  const timer = setInterval(() => void kill().catch(() => {}), everyMs);
  return () => {
    clearInterval(timer);
    return killed;
  };
}
