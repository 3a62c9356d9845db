import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider, type MetricData } from '@opentelemetry/sdk-metrics';
import { Scope, withScope } from 'scoped-pool';
import { observe } from 'scoped-pool/otel';
import { onTestFinished } from 'vitest';
import { poolOf, Server } from '../../pool/support.ts';
import { until } from '../../support/until.ts';

/** What the Prometheus exporter of OpenTelemetry answers over HTTP, when a pool has been through all there is to count. */
export interface Scraped {
  readonly text: string;
  /** The same, as the SDK has it. */
  readonly metrics: readonly MetricData[];
  /** The name of the pool. */
  readonly pool: string;
}

export async function scrape(): Promise<Scraped> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const meterProvider = new MeterProvider({ readers: [exporter] });
  onTestFinished(() => meterProvider.shutdown());
  onTestFinished(observe({ meterProvider, spans: 'none' }));
  const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response)).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const root = new Scope({ parent: null, onSuppressed: () => {} });
  const pool = await root.run(usedPool);
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: 'close' } });
  const text = await response.text();
  const { resourceMetrics } = await exporter.collect();
  await root.close();
  return { text, metrics: resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics), pool };
}

/** Two leases that waited, an acquire that timed out, a lease that leaked and was overdue; a connection that failed, one closed, one idle. */
async function usedPool(): Promise<string> {
  const server = new Server();
  server.onCreate = () => (server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined);
  const pool = poolOf(server, { max: 1, leakAfterMs: 1 });
  await withScope(async () => {
    await pool.acquire();
    await pool.acquire({ acquireTimeoutMs: 1 }).catch(() => {});
    await until(() => pool.stats().overdue === 1);
  });
  await pool.use(() => {});
  return pool.name;
}

/** One line of what Prometheus reads: a metric, its labels, its value. */
export interface Line {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function linesOf(text: string): readonly Line[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, metric = '', inner = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?$/.exec(line) ?? [];
    const labels = Object.fromEntries([...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(({ 1: name, 2: said }) => [name, said]));
    return { metric, labels, value: Number(value) };
  });
}
