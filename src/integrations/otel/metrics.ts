import { CHANNELS, type Message } from '../../channels.ts';
import { now } from '../../clock.ts';
import { VERSION } from '../../context.ts';
import { AcquireTimeoutError } from '../../errors.ts';
import { type Attributes, type BatchObservableCallback, type Meter, type MeterProvider, type Observable, ValueType } from './api.ts';
import { NOTHING, type PoolTotals, takeCensus } from './census.ts';
import { listen, quietly } from './listening.ts';

/** The name of the pool, as the semantic conventions have it. */
export const POOL_NAME = 'db.client.connection.pool.name';
const STATE = 'db.client.connection.state';
const CLOSE_REASON = 'scoped_pool.connection.close_reason';
const SCOPE_KIND = 'scoped_pool.scope.kind';

/** Bounds in seconds. With OpenTelemetry's own, meant for milliseconds, all would lie below the first. */
const SECONDS = { unit: 's', advice: { explicitBucketBoundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] } };

/** What one series of a pool says, by the name of its metric. */
interface Series {
  readonly metric: string;
  readonly attributes?: Attributes;
  readonly says: keyof PoolTotals;
}

const COUNT = 'db.client.connection.count';
const LIMIT = 'db.client.connection.limit';
const IDLE_MIN = 'db.client.connection.idle.min';
const IDLE_MAX = 'db.client.connection.idle.max';
const PENDING = 'db.client.connection.pending_requests';
const OPEN = 'scoped_pool.connection.open';
const SCOPES = 'scoped_pool.scope.active';

/** What is looked up whenever metrics are collected: unit and description. */
const LOOKED_UP: Readonly<Record<string, readonly [unit: string, description: string]>> = {
  [COUNT]: ['{connection}', 'The number of connections that are currently in state described by the state attribute.'],
  [LIMIT]: ['{connection}', 'The maximum number of open connections allowed.'],
  [IDLE_MIN]: ['{connection}', 'The minimum number of idle open connections allowed.'],
  [IDLE_MAX]: ['{connection}', 'The maximum number of idle open connections allowed.'],
  [PENDING]: ['{request}', 'The number of current pending requests for an open connection.'],
  [OPEN]: ['{connection}', 'Connections that count against the limit: idle, used, being created, checked or closed.'],
  [SCOPES]: ['{scope}', 'Scopes that are not closed.'],
};

const OF_A_POOL: readonly Series[] = [
  { metric: COUNT, attributes: { [STATE]: 'idle' }, says: 'idle' },
  { metric: COUNT, attributes: { [STATE]: 'used' }, says: 'used' },
  { metric: LIMIT, says: 'max' },
  { metric: IDLE_MIN, says: 'min' },
  // All that are open may be idle.
  { metric: IDLE_MAX, says: 'max' },
  { metric: PENDING, says: 'pending' },
  { metric: OPEN, says: 'open' },
];

/** The metrics of one meter provider. Made once for each: what an SDK was told once, it goes on saying. */
export class Metrics {
  readonly #lookedUp: ReadonlyMap<string, Observable>;
  readonly #counted: ReturnType<typeof makeCounters>;
  /** The pools that were ever seen: one that is gone is told of as 0, or an SDK would go on saying what it last was. */
  readonly #seen = new Map<string, Attributes>();
  /** Since when an acquire waits. */
  readonly #waiting = new WeakMap<Message, number>();
  #isOn = false;

  constructor(provider: MeterProvider) {
    const meter = provider.getMeter('scoped-pool', VERSION);
    const entries = Object.entries(LOOKED_UP);
    this.#lookedUp = new Map(entries.map(([name, [unit, description]]) => [name, observable(meter, name, unit, description)]));
    this.#counted = makeCounters(meter);
    meter.addBatchObservableCallback((result) => quietly(() => this.#look(result)), [...this.#lookedUp.values()]);
  }

  /** @returns what stops it. */
  start(): () => void {
    const { timeouts, createTime, useTime, created, failed, closed, leaked, overdue } = this.#counted;
    const { acquire, lease, connect, connectionReady, connectionClosed, leaseLeaked, leaseOverdue } = CHANNELS;
    const stop = listen(
      [acquire.end, (message) => this.#onCalled(message)],
      [acquire.asyncEnd, (message) => this.#onWaited(message)],
      [acquire.error, (message) => message.error instanceof AcquireTimeoutError && timeouts.add(1, this.#of(message))],
      [lease.asyncEnd, (message) => useTime.record(seconds(message.heldMs), this.#of(message))],
      [connect.error, (message) => failed.add(1, this.#of(message))],
      [connectionReady, (message) => created.add(1, this.#of(message))],
      [connectionReady, (message) => createTime.record(seconds(message.createMs), this.#of(message))],
      [connectionClosed, (message) => closed.add(1, { ...this.#of(message), [CLOSE_REASON]: String(message.reason) })],
      [leaseLeaked, (message) => leaked.add(1, this.#of(message))],
      [leaseOverdue, (message) => overdue.add(1, this.#of(message))],
    );
    this.#isOn = true;
    return () => {
      this.#isOn = false;
      stop();
    };
  }

  #onCalled(message: Message): void {
    if (message.waits) this.#waiting.set(message, now());
    else if (!('error' in message)) this.#counted.waitTime.record(0, this.#of(message));
  }

  #onWaited(message: Message): void {
    const since = this.#waiting.get(message);
    if (since === undefined || 'error' in message) return;
    this.#counted.waitTime.record(seconds(now() - since), this.#of(message));
  }

  #look(result: Parameters<BatchObservableCallback>[0]): void {
    const { pools, roots, scopes } = this.#isOn ? takeCensus() : { pools: new Map<string, PoolTotals>(), roots: 0, scopes: 0 };
    for (const pool of pools.keys()) this.#of({ pool });
    for (const [pool, attributes] of this.#seen) {
      const totals = pools.get(pool) ?? NOTHING;
      for (const { metric, attributes: more, says } of OF_A_POOL) this.#say(result, metric, totals[says], { ...attributes, ...more });
    }
    this.#say(result, SCOPES, roots, { [SCOPE_KIND]: 'root' });
    this.#say(result, SCOPES, scopes, { [SCOPE_KIND]: 'scope' });
  }

  #say(result: Parameters<BatchObservableCallback>[0], metric: string, value: number, attributes: Attributes): void {
    result.observe(this.#lookedUp.get(metric) as Observable, value, attributes);
  }

  /** The attributes of the pool that a message is about. */
  #of({ pool }: Message): Attributes {
    const name = String(pool);
    const known = this.#seen.get(name);
    if (known) return known;
    const attributes = { [POOL_NAME]: name };
    this.#seen.set(name, attributes);
    // Or the first that is counted would not be an increase.
    const { timeouts, created, failed, leaked, overdue } = this.#counted;
    for (const counter of [timeouts, created, failed, leaked, overdue]) counter.add(0, attributes);
    return attributes;
  }
}

function observable(meter: Meter, name: string, unit: string, description: string): Observable {
  return meter.createObservableUpDownCounter(name, { unit, description, valueType: ValueType.INT });
}

function makeCounters(meter: Meter) {
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(name, { unit, description, valueType: ValueType.INT });
  const histogram = (name: string, description: string) => meter.createHistogram(name, { ...SECONDS, description });
  return {
    timeouts: counter(
      'db.client.connection.timeouts',
      '{timeout}',
      'The number of connection timeouts that have occurred trying to obtain a connection from the pool.',
    ),
    createTime: histogram('db.client.connection.create_time', 'The time it took to create a new connection.'),
    waitTime: histogram('db.client.connection.wait_time', 'The time it took to obtain an open connection from the pool.'),
    useTime: histogram('db.client.connection.use_time', 'The time between borrowing a connection and returning it to the pool.'),
    created: counter('scoped_pool.connection.created', '{connection}', 'Connections that were made.'),
    failed: counter('scoped_pool.connection.failed', '{connection}', 'Connections that could not be made.'),
    closed: counter('scoped_pool.connection.closed', '{connection}', 'Connections that are gone.'),
    leaked: counter('scoped_pool.lease.leaked', '{lease}', 'Leases that were held at the end of their scope, and revoked.'),
    overdue: counter('scoped_pool.lease.overdue', '{lease}', 'Leases that were held for longer than leakAfterMs.'),
  };
}

function seconds(ms: unknown): number {
  return Number(ms) / 1_000;
}
