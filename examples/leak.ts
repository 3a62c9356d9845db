// A service that leaks on purpose: where it forgets a lease, the monitor names the line. Run it, and beside it
// `npx scoped-pool monitor`: the connections of the pool «mails» grow, those of «visits» do not.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Scope, withRoot } from 'scoped-pool';
import { serveInspection } from 'scoped-pool/inspect';
import { defineRedisPool } from 'scoped-pool/redis';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const service = 'leak-example';
const mails = defineRedisPool('mails', { url, service, max: 1_000 });
const visits = defineRedisPool('visits', { url, service, max: 5 });

/** Forgets the lease when there is no address: nobody releases it until the scope of the service ends. */
async function sendMail(address: string): Promise<void> {
  const lease = await mails.acquire();
  if (address === '') throw new Error('no address');
  await lease.resource.rpush('example:mails', address);
  lease.release();
}

/** Is right: what `use` lends comes back, whatever happens in it. */
async function countVisit(page: string): Promise<void> {
  await visits.use(async (connection) => {
    if (page === '') throw new Error('no page');
    await connection.incr(`example:visits:${page}`);
  });
}

/** Serves until `stop` aborts, everything twice and half of it in vain. */
async function serve(scope: Scope, stop: AbortSignal): Promise<void> {
  for (let request = 0; !stop.aborted; request++) {
    const isBad = request % 2 === 1;
    await scope.run(() => Promise.allSettled([sendMail(isBad ? '' : 'ann@example.org'), countVisit(isBad ? '' : 'home')]));
    await sleep(250, undefined, { signal: stop }).catch(() => {});
  }
}

/** Runs until `stop` aborts; what is still held then is reported, and taken back. */
export async function main(stop: AbortSignal): Promise<void> {
  await using _inspection = await serveInspection();
  await withRoot((scope) => serve(scope, stop), { name: 'mail-service' });
}

if (process.argv[1] === import.meta.filename) {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  await main(stop.signal);
}
