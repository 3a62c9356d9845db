import {
  AggregationTemporality,
  type ExponentialHistogram,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { PoolStats } from 'scoped-pool';
import { observe } from 'scoped-pool/otel';
import { expect, onTestFinished } from 'vitest';

/** What one series says. */
export interface Point {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: number | Histogram | ExponentialHistogram;
}

/** By the name of the metric. */
export type Said = ReadonlyMap<string, readonly Point[]>;

/** The SDK of OpenTelemetry, with a reader that is asked. */
export interface Sdk {
  readonly provider: MeterProvider;
  say(): Promise<Said>;
}

export function sdk(): Sdk {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  // Read by the test, never by itself.
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 });
  const provider = new MeterProvider({ readers: [reader] });
  onTestFinished(() => provider.shutdown());
  return { provider, say: () => saidBy(reader) };
}

/** The same, observed until the test ends. */
export function observed(): Sdk {
  const made = sdk();
  onTestFinished(observe({ meterProvider: made.provider, spans: 'none' }));
  return made;
}

async function saidBy(reader: MetricReader): Promise<Said> {
  const { resourceMetrics, errors } = await reader.collect();
  expect(errors).toEqual([]);
  const metrics = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  return new Map(
    metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints.map(({ attributes, value }) => ({ attributes, value }))]),
  );
}

export const POOL = 'db.client.connection.pool.name';

/** What a series with these attributes says; nothing where there is none. */
export function at(said: Said, metric: string, attributes: Readonly<Record<string, unknown>>): Point['value'] | undefined {
  const wanted = JSON.stringify(Object.entries(attributes).sort());
  const points = (said.get(metric) ?? []).filter((point) => JSON.stringify(Object.entries(point.attributes).sort()) === wanted);
  expect(points.length).toBeLessThanOrEqual(1);
  return points[0]?.value;
}

/** How often a histogram was told something. */
export function countOf(value: Point['value'] | undefined): number {
  return typeof value === 'object' ? value.count : 0;
}

/** All that metrics say of a pool, by the names of `stats()`. What was never counted is 0. */
export function asStats(said: Said, pool: string) {
  const of = (metric: string, more: Readonly<Record<string, unknown>> = {}) => at(said, metric, { [POOL]: pool, ...more }) ?? 0;
  const reasons = (said.get('scoped_pool.connection.closed') ?? []).filter(({ attributes }) => attributes[POOL] === pool);
  return {
    idle: of('db.client.connection.count', { 'db.client.connection.state': 'idle' }),
    inUse: of('db.client.connection.count', { 'db.client.connection.state': 'used' }),
    max: of('db.client.connection.limit'),
    maxIdle: of('db.client.connection.idle.max'),
    pending: of('db.client.connection.pending_requests'),
    open: of('scoped_pool.connection.open'),
    timeouts: of('db.client.connection.timeouts'),
    acquired: countOf(of('db.client.connection.wait_time')),
    ended: countOf(of('db.client.connection.use_time')),
    created: of('scoped_pool.connection.created'),
    createdInTime: countOf(of('db.client.connection.create_time')),
    createFailed: of('scoped_pool.connection.failed'),
    closedBy: Object.fromEntries(
      reasons.map(({ attributes, value }) => [String(attributes['scoped_pool.connection.close_reason']), value]),
    ),
    leaked: of('scoped_pool.lease.leaked'),
    overdue: of('scoped_pool.lease.overdue'),
  };
}

/** The same, by the word of the pool. */
export function expected({
  idle,
  inUse,
  max,
  pending,
  open,
  timeouts,
  acquired,
  created,
  ...stats
}: PoolStats): ReturnType<typeof asStats> {
  const { createFailed, leaked, overdue } = stats;
  return {
    ...{
      idle,
      inUse,
      max,
      maxIdle: max,
      pending,
      open,
      timeouts,
      acquired,
      created,
      createdInTime: created,
      createFailed,
      leaked,
      overdue,
    },
    ended: acquired - stats.exclusive - stats.sharers,
    closedBy: Object.fromEntries(Object.entries(stats.closedBy).filter(([, count]) => count > 0)),
  };
}
