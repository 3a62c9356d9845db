// A pool of HTTP connections to one origin. What it has that undici's own Pool has not: limits per worker or server, not
// per Pool object; sockets that are closed when the scope is, without anybody who passes a Pool on and ends it; and a
// server that is down is waited for, up to a deadline and in order of priority, in place of one error per request.

import { once } from 'node:events';
import { definePool, withRoot } from 'scoped-pool';
import { Client } from 'undici';

const origin = process.env.ORIGIN ?? 'http://127.0.0.1:3000';

export const http = definePool('http', {
  max: 10,
  // One client is one socket, with one request at a time.
  async create({ signal }) {
    const client = new Client(origin, { pipelining: 1, connectTimeout: 3_000, headersTimeout: 5_000, bodyTimeout: 5_000 });
    const closed = once(client, 'disconnect');
    try {
      // undici connects with the first request; where the server closes after each, once more for the holder.
      await probe(client, signal);
      if (!client.stats.connected) await closed;
      return client;
    } catch (error) {
      await client.destroy();
      throw error;
    }
  },
  destroy: (client) => client.destroy(),
  // Servers close what is idle, undici does so a little before them where they say when.
  onDead: (client, report) => client.once('disconnect', (_origin, _targets, error) => report(error)),
  // A request that was not awaited, or an answer whose body was not read, would hold up the next holder.
  isUsable: (client) => !client.closed && client.stats.size === 0,
  validate: (client) => probe(client),
  reset: (client) => client.stats.connected,
});

/** Resolves when the server answers, whatever it says. */
async function probe(client: Client, signal?: AbortSignal): Promise<void> {
  // `reset: false`: undici would close the socket after a HEAD.
  const { body } = await client.request({ method: 'HEAD', path: '/', reset: false, signal });
  await body.dump();
}

/** Fetches a page. What broke is not sent again: only its caller knows whether twice does harm. */
const get = (path: string) =>
  http.use(async (client) => {
    const { statusCode, body } = await client.request({ method: 'GET', path });
    return `${statusCode} ${await body.text()}`;
  });

/** Fetches a page 100 times at once. @returns the answers. */
export const main = () => withRoot(() => Promise.all(Array.from({ length: 100 }, () => get('/'))), { limits: { http: 5 } });

if (process.argv[1] === import.meta.filename) console.log(await main());
