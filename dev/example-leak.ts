// `npm run example:leak`: examples/leak.ts on the Redis server of REDIS_URL, else on one of our own.
import { startRedis, withoutCredentials } from './redis-server.ts';

const redis = await startRedis();
// The example reads it when it is loaded.
process.env.REDIS_URL = redis.url;
const { main } = await import('../examples/leak.ts');
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
console.log(`leaks; in another terminal: npm run monitor -- ${withoutCredentials(redis.url)}; Ctrl-C ends it`);
await main(stop.signal);
await redis.stop();
