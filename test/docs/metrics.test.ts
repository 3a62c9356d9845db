import { context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InstrumentType, type MetricData } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { withRoot } from 'scoped-pool';
import { observe } from 'scoped-pool/otel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linesOf, scrape } from '../integrations/otel/prometheus.ts';
import { poolOf, Server } from '../pool/support.ts';
import { read, tablesOf } from './markdown.ts';

const page = read('docs/metrics.md');
const rowsOf = (first: string) => tablesOf(page).find(({ head }) => head[0] === first)?.rows ?? [];

const INSTRUMENTS: Partial<Record<InstrumentType, string>> = {
  [InstrumentType.OBSERVABLE_UP_DOWN_COUNTER]: 'up-down counter',
  [InstrumentType.COUNTER]: 'counter',
  [InstrumentType.HISTOGRAM]: 'histogram',
};
const short = (attribute: string) => (attribute === 'db.client.connection.pool.name' ? 'pool' : attribute);

/** A metric as its row should have it. */
function rowOf({ descriptor, dataPoints }: MetricData): readonly string[] {
  const { type } = descriptor as { readonly type?: InstrumentType };
  const attributes = new Set(dataPoints.flatMap((point) => Object.keys(point.attributes)));
  return [descriptor.name, INSTRUMENTS[type ?? InstrumentType.GAUGE] ?? '', descriptor.unit, [...attributes].map(short).join(', ')];
}

describe('docs/metrics.md', () => {
  it('lists what is exported: instruments, units, attributes', async () => {
    const { metrics } = await scrape();
    const documented = rowsOf('metric').map((row) => row.slice(0, 4));
    expect(documented.length).toBeGreaterThan(10);
    expect([...documented].sort()).toEqual(metrics.map(rowOf).sort());
  });

  it('names fields that stats() has', async () => {
    const pool = poolOf(new Server());
    const fields = await withRoot(async () => Object.keys(pool.stats()));
    const named = rowsOf('metric').flatMap((row) => (row[4] ?? '').split(', ').filter((field) => field !== '–'));
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((field) => !fields.includes(field))).toEqual([]);
  });

  it('lists the spans with their attributes', async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager());
    onTestFinished(() => context.disable());
    const exporter = new InMemorySpanExporter();
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    onTestFinished(observe({ tracerProvider }));
    const server = new Server();
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined);
    const pool = poolOf(server, { max: 1 });
    await withRoot(() => pool.use(() => expect(pool.acquire({ acquireTimeoutMs: 1 })).rejects.toThrow()));
    const spans = new Map<string, Set<string>>();
    for (const { name, attributes } of exporter.getFinishedSpans()) {
      const known = spans.get(name.replace(pool.name, 'redis')) ?? new Set();
      spans.set(name.replace(pool.name, 'redis'), known);
      for (const attribute of Object.keys(attributes)) known.add(short(attribute));
    }
    const documented = rowsOf('span').map(([name = '', , , attributes = '']) => [name, attributes.split(', ').sort()]);
    expect(documented).toEqual([...spans].map(([name, attributes]) => [name, [...attributes].sort()]).sort());
  });

  it('lists the names that the example for prom-client has', () => {
    const example = read('examples/prometheus.ts');
    const listed = page.slice(page.indexOf('## Prometheus without'));
    const names = [...listed.matchAll(/`(scoped_pool_\w+)/g)].map(({ 1: name = '' }) => name);
    const made = [
      ...[...example.matchAll(/^gauge\('(\w+)'/gm)].map(({ 1: name }) => `scoped_pool_${name}`),
      ...[...example.matchAll(/= counter\('(\w+)'/g)].map(({ 1: name }) => `scoped_pool_${name}_total`),
      ...[...example.matchAll(/times\('(\w+)'\)/g)].map(({ 1: verb }) => `scoped_pool_connection_${verb}_seconds`),
    ];
    expect(made).toHaveLength(8);
    expect([...names].sort()).toEqual(made.sort());
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

describe('docs/grafana-dashboard.json', () => {
  const { panels, templating }: { panels: readonly Panel[]; templating: { list: readonly { name: string; definition?: string }[] } } =
    JSON.parse(read('docs/grafana-dashboard.json'));
  const queries = panels.flatMap(({ targets }) => targets);
  const namesIn = (text: string) => [...text.matchAll(/\b(?:db_client|scoped_pool)_\w+/g)].map(([name]) => name);

  it('asks for metrics and labels that the exporter prints, and for each of them but two', async () => {
    const lines = linesOf((await scrape()).text);
    const printed = new Set(lines.map(({ metric }) => metric).filter((metric) => /^(?:db_client|scoped_pool)_/.test(metric)));
    const labels = new Set(lines.flatMap((line) => Object.keys(line.labels)));
    const asked = new Set(queries.flatMap(({ expr }) => namesIn(expr)).filter((name) => !labels.has(name)));
    expect([...asked].filter((name) => !printed.has(name))).toEqual([]);
    const base = (name: string) => name.replace(/_(?:bucket|sum|count)$/, (end) => (name === 'db_client_connection_count' ? end : ''));
    const left = [...printed].map(base).filter((name) => ![...asked].map(base).includes(name));
    expect(new Set(left)).toEqual(new Set(['db_client_connection_idle_min', 'db_client_connection_idle_max']));
    for (const { legendFormat } of queries) expect(namesIn(legendFormat).filter((label) => !labels.has(label))).toEqual([]);
    for (const { definition = '' } of templating.list)
      for (const name of namesIn(definition)) expect([...printed, ...labels]).toContain(name);
  });

  it.each(queries.map(({ expr }) => expr))('asks sensibly: %s', (expr) => {
    // What only grows is looked at as a rate, what is now is not, and quantiles are of buckets, by `le`.
    const growing = namesIn(expr).filter((name) => /_(?:total|bucket)$/.test(name));
    const rated = [...expr.matchAll(/\b(?:rate|increase)\((\w+)(?:\{[^}]*\})?\[\$__rate_interval\]\)/g)].map(({ 1: name }) => name);
    expect(rated).toEqual(growing);
    const isQuantile = /^histogram_quantile\(0\.\d+, sum by \(le, [\w, ]+\) \(rate\(\w+_bucket\b/.test(expr);
    expect(isQuantile).toBe(growing.some((name) => name.endsWith('_bucket')));
    expect([...expr].filter((letter) => letter === '(').length).toBe([...expr].filter((letter) => letter === ')').length);
    // All but the number of scopes can be narrowed to a pool.
    expect(expr.includes('{db_client_connection_pool_name=~"$pool"}')).toBe(!expr.includes('scoped_pool_scope_active'));
  });

  it('has panels of their own, side by side', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const places = panels.map(({ gridPos: { x, y, w, h } }) => ({ left: x, right: x + w, top: y, bottom: y + h }));
    const overlaps = places.flatMap((a, place) =>
      places.slice(place + 1).filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom),
    );
    expect(overlaps).toEqual([]);
    expect(places.filter(({ right }) => right > 24)).toEqual([]);
    expect(panels.filter(({ title, description, targets }) => !title || !description || targets.length === 0)).toEqual([]);
    for (const { targets } of panels) expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'pool']);
  });
});
