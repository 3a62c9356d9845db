// `npm run example:http`: examples/http-server on the server of REDIS_URL, else on one of our own, at PORT or any free port.
import { startRedis, withoutCredentials } from './redis-server.ts';

const redis = await startRedis();
// The example reads it when it is loaded.
process.env.REDIS_URL = redis.url;
const { main } = await import('../examples/http-server/server.ts');
const { url, scope } = await main(Number(process.env.PORT ?? 0));
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    await scope.close();
    await redis.stop();
  });
}
console.log(`${url} over ${withoutCredentials(redis.url)}; Ctrl-C ends it`);
