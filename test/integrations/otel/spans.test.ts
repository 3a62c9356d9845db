import { context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { withRoot, withScope } from 'scoped-pool';
import { type ObserveOptions, observe } from 'scoped-pool/otel';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CHANNELS } from '../../../src/channels.ts';
import { type Connection, gate, poolOf, Server, turns } from '../../pool/support.ts';

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => context.disable());

/** Spans of the SDK until the test ends: those that are over, and a way to be in one of one's own. */
function traced(options: Pick<ObserveOptions, 'spans'> = {}) {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  onTestFinished(() => tracerProvider.shutdown());
  const stop = observe({ tracerProvider, ...options });
  onTestFinished(stop);
  const tracer = tracerProvider.getTracer('test');
  const inSpan = <R>(name: string, fn: () => Promise<R>): Promise<R> =>
    tracer.startActiveSpan(name, (span) => fn().finally(() => span.end()));
  return { inSpan, stop, spans: () => exporter.getFinishedSpans() };
}

const called = (spans: readonly ReadableSpan[], name: string) => spans.filter((span) => span.name === name);

/** The name of the span that each is below. */
function parentsOf(spans: readonly ReadableSpan[], all: readonly ReadableSpan[]): readonly (string | undefined)[] {
  return spans.map(({ parentSpanContext }) => all.find((span) => span.spanContext().spanId === parentSpanContext?.spanId)?.name);
}

describe('The span of an acquire', () => {
  it('is below that of whoever asks, for each who waits, and the connection is part of no trace of theirs', async () => {
    const { inSpan, spans } = traced();
    const server = new Server();
    const creating = gate();
    server.onCreate = () => creating.promise;
    const pool = poolOf(server, { max: 1 });
    const lent: Connection[] = [];
    const job = (name: string) => inSpan(name, () => withScope(() => pool.use((connection) => void lent.push(connection)), { name }));
    await withRoot(async () => {
      const jobs = [job('job 1'), job('job 2')];
      await turns();
      creating.open();
      await Promise.all(jobs);
    });
    const acquires = called(spans(), `acquire ${pool.name}`);
    expect(parentsOf(acquires, spans())).toEqual(['job 1', 'job 2']);
    expect(new Set(acquires.map((span) => span.spanContext().traceId)).size).toBe(2);
    expect(acquires.map(({ attributes }) => attributes)).toEqual(
      ['job 1', 'job 2'].map((scope) => ({
        'db.client.connection.pool.name': pool.name,
        'scoped_pool.scope.name': scope,
        'scoped_pool.lease.exclusive': true,
      })),
    );
    // Opened for the first, used by both.
    expect(lent[0]).toBe(lent[1]);
    const [connect, ...others] = called(spans(), `connect ${pool.name}`);
    expect(others).toEqual([]);
    expect(connect?.parentSpanContext).toBeUndefined();
    const foreign = [...acquires, ...called(spans(), 'job 1'), ...called(spans(), 'job 2')].map((span) => span.spanContext().traceId);
    expect(foreign).not.toContain(connect?.spanContext().traceId);
  });

  it('is below that of whoever asks, not of whoever makes way for him', async () => {
    const { inSpan, spans } = traced();
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const holding = gate();
      const holder = inSpan('holder', () => pool.use(() => holding.promise));
      await turns();
      const waiter = inSpan('waiter', () => pool.use(() => {}));
      await inSpan('releaser', async () => holding.open());
      await Promise.all([holder, waiter]);
    });
    const acquires = called(spans(), `acquire ${pool.name}`);
    // The first has waited for the connection.
    expect(parentsOf(acquires, spans())).toEqual(['holder', 'waiter']);
    expect(acquires.every(({ status }) => status.code === SpanStatusCode.UNSET)).toBe(true);
  });

  it('leaves no trace in what create runs in, however it is begun', async () => {
    const { inSpan } = traced();
    const server = new Server();
    const seen: unknown[] = [];
    server.onCreate = () => seen.push(trace.getActiveSpan(), context.active() === ROOT_CONTEXT);
    const pool = poolOf(server);
    await withRoot(() => inSpan('job', () => pool.use(() => {})));
    expect(seen).toEqual([undefined, true]);
  });

  it('says why it failed, by the code of the error, as long as it has waited', async () => {
    const { inSpan, spans } = traced();
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      await inSpan('job', () => expect(pool.acquire({ acquireTimeoutMs: 30 })).rejects.toThrow());
      held.release();
    });
    const [, failed] = called(spans(), `acquire ${pool.name}`);
    expect(failed?.attributes['error.type']).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR, message: expect.stringContaining('stopped while waiting') });
    const [seconds = 0, nanoseconds = 0] = failed?.duration ?? [];
    expect(seconds * 1e3 + nanoseconds / 1e6).toBeGreaterThan(25);
  });

  it('ends with the observing, for who still waits then', async () => {
    const { spans, stop } = traced();
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      expect(called(spans(), `acquire ${pool.name}`)).toHaveLength(1);
      stop();
      expect(called(spans(), `acquire ${pool.name}`)).toHaveLength(2);
      held.release();
      (await waiting).release();
      expect(called(spans(), `acquire ${pool.name}`)).toHaveLength(2);
    });
  });

  it('is there for those that wait, unless all or none are asked for', async () => {
    const spansWith = async (choice: ObserveOptions['spans']) => {
      const { spans } = traced({ spans: choice });
      const pool = poolOf(new Server());
      await withRoot(async () => {
        await pool.use(() => {});
        await pool.use(() => {});
        await pool.close();
        await expect(pool.acquire()).rejects.toThrow();
      });
      return spans().map(({ name, status, attributes }) => [name.split(' ')[0], status.code, attributes['error.type']]);
    };
    const connect = ['connect', SpanStatusCode.UNSET, undefined];
    const acquire = ['acquire', SpanStatusCode.UNSET, undefined];
    expect(await spansWith(undefined)).toEqual([connect, acquire]);
    expect(await spansWith('waited')).toEqual([connect, acquire]);
    expect(await spansWith('all')).toEqual([connect, acquire, acquire, ['acquire', SpanStatusCode.ERROR, 'ERR_POOL_CLOSED']]);
    expect(await spansWith('none')).toEqual([]);
  });
});

describe('The span of a connection that is made', () => {
  it.each([
    ['with a code', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED', 'refused'],
    ['without', new TypeError('wrong'), 'TypeError', 'wrong'],
    ['with a password', new Error('no way to redis://ann:hunter2@far'), 'Error', 'no way to redis://***@far'],
    ['that is none', null, '_OTHER', 'null'],
  ])('says why it failed: an error %s', async (_, error, type, message) => {
    const { spans } = traced();
    const server = new Server();
    server.onCreate = () => (server.attempts === 1 ? Promise.reject(error) : undefined);
    const pool = poolOf(server);
    await withRoot(() => pool.use(() => {}));
    expect(called(spans(), `connect ${pool.name}`)).toMatchObject([
      { status: { code: SpanStatusCode.ERROR, message }, attributes: { 'error.type': type, 'scoped_pool.scope.name': 'scope' } },
      { status: { code: SpanStatusCode.UNSET } },
    ]);
  });

  it('is below none, wherever the library was loaded', async () => {
    const { inSpan, spans } = traced();
    await inSpan('loader', async () => {
      const message = { pool: 'redis', scope: 'root' };
      CHANNELS.connect.start.publish(message);
      CHANNELS.connect.asyncEnd.publish(message);
    });
    expect(called(spans(), 'connect redis')).toHaveLength(1);
    expect(parentsOf(called(spans(), 'connect redis'), spans())).toEqual([undefined]);
    expect(called(spans(), 'connect redis')[0]?.parentSpanContext).toBeUndefined();
  });
});
