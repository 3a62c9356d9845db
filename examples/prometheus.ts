// Metrics for Prometheus with prom-client alone: what is open is looked up when it is asked for, what happens is counted.
import { createServer } from 'node:http';
import { Counter, Gauge, Histogram, register } from 'prom-client';
import { AcquireTimeoutError, CHANNELS, type PoolStats, Scope } from 'scoped-pool';
import { scopeServer } from 'scoped-pool/http';
import { defineRedisPool } from 'scoped-pool/redis';

const redis = defineRedisPool('redis', { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', max: 10 });
// Every scope that has pools of its own; that of a worker is scopeOf(worker).
const server = new Scope({ parent: null, name: 'server', limits: { redis: 5 } });
const owners = [server];

/** Asks the pools when Prometheus asks. */
function gauge(name: string, help: string, states: Readonly<Record<string, keyof PoolStats>>): void {
  const collect = function (this: Gauge) {
    this.reset();
    for (const owner of owners.filter(({ state }) => state !== 'closed')) {
      const stats = owner.run(() => redis.stats());
      for (const state in states) this.inc({ pool: redis.name, ...(state && { state }) }, Number(stats[states[state] ?? 'open']));
    }
  };
  new Gauge({ name: `scoped_pool_${name}`, help, labelNames: ['pool', 'state'], collect });
}

gauge('connections', 'Connections that are open', { idle: 'idle', used: 'inUse' });
gauge('connections_limit', 'Most that may be open', { '': 'max' });
gauge('pending_requests', 'Acquires that wait', { '': 'pending' });

const counter = (name: string, help: string) => new Counter({ name: `scoped_pool_${name}_total`, help, labelNames: ['pool'] });
const created = counter('connections_created', 'Connections that were made');
const timeouts = counter('acquire_timeouts', 'Acquires that timed out');
const times = (verb: string) =>
  new Histogram({ name: `scoped_pool_connection_${verb}_seconds`, help: `Time to ${verb}`, labelNames: ['pool'] });
const [create, wait, use] = [times('create'), times('wait'), times('use')];

type Message = { readonly pool: string; readonly [field: string]: unknown };
const waiting = new WeakMap<object, () => number>();
const on = (channel: typeof CHANNELS.connectionReady, listener: (message: Message) => void) =>
  channel.subscribe((message) => listener(message as Message));
on(CHANNELS.connectionReady, ({ pool }) => created.inc({ pool }));
on(CHANNELS.connectionReady, ({ pool, createMs }) => create.observe({ pool }, Number(createMs) / 1_000));
on(CHANNELS.lease.asyncEnd, ({ pool, heldMs }) => use.observe({ pool }, Number(heldMs) / 1_000));
on(CHANNELS.acquire.error, ({ pool, error }) => error instanceof AcquireTimeoutError && timeouts.inc({ pool }));
on(CHANNELS.acquire.end, (message) => message.waits && waiting.set(message, wait.startTimer({ pool: message.pool })));
on(CHANNELS.acquire.asyncEnd, (message) => 'error' in message || waiting.get(message)?.());

/** Counts visits at `/`, shows the metrics at `/metrics`; port 0 is any that is free. */
export function main(port = 0) {
  const http = createServer(async ({ url }, response) => {
    if (url !== '/metrics') response.end(`visit ${await redis.incr('example:views')}\n`);
    else response.setHeader('content-type', register.contentType).end(await register.metrics());
  });
  return { http: scopeServer(server, http).listen(port, '127.0.0.1'), close: () => server.close() };
}

if (process.argv[1] === import.meta.filename) main(3000);
