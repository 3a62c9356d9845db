// The one process of a fan-out that has something to say: it publishes prices on a channel of Redis, for whoever subscribes;
// server.ts beside it does. `npm run example:fan-out` starts them all; SIGTERM or Ctrl-C ends this one in order: the source
// first, what it has yielded is published, then the pool is closed.
import { setInterval } from 'node:timers/promises';
import { Scope } from 'scoped-pool';
import { publishFrom } from 'scoped-pool/pubsub';
import { defineRedisPool } from 'scoped-pool/redis';

/** What is published. */
export interface Tick {
  readonly number: number;
  readonly symbol: string;
  readonly price: number;
}

const EVERY_MS = 200;
const redis = defineRedisPool('redis', { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' });

async function* ticks(): AsyncGenerator<Tick> {
  const prices = new Map([
    ['EUR', 1.08],
    ['GBP', 1.27],
    ['CHF', 1.12],
  ]);
  let number = 0;
  for await (const _ of setInterval(EVERY_MS)) {
    const [symbol, price] = [...prices][number % prices.size] ?? ['', 0];
    prices.set(symbol, price * (1 + (Math.random() - 0.5) / 100));
    yield { number: number++, symbol, price };
  }
}

if (process.argv[1] === import.meta.filename) {
  const scope = new Scope({ parent: null, name: 'ticker', onSuppressed: console.error });
  // While Redis is away, the newest hundred are kept: of old prices nobody wants to hear.
  scope.run(() => publishFrom(ticks(), redis, 'ticks', { maxBuffered: 100, overflow: 'drop-oldest' }));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void scope.close());
  console.log('ticks; Ctrl-C ends it');
}
