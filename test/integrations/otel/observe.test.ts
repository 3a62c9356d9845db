import { diag, type MeterProvider, metrics, type Tracer, type TracerProvider } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { InvalidOptionError, withRoot, withScope } from 'scoped-pool';
import { type ObserveOptions, observe } from 'scoped-pool/otel';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CHANNELS } from '../../../src/channels.ts';
import { poolOf, Server, turns } from '../../pool/support.ts';
import { channelsOf, NAMES, uncaught } from '../../support/events.ts';
import { until } from '../../support/until.ts';
import { asStats, expected, sdk } from './support.ts';

describe('observe', () => {
  it('counts nothing twice, however many ask for it, and goes on until all have stopped', async () => {
    const { provider, say } = sdk();
    const stops = [1, 2].map(() => observe({ meterProvider: provider, spans: 'none' }));
    const pool = poolOf(new Server());
    await withRoot(async () => {
      const equal = async () => expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
      await pool.use(() => {});
      await equal();
      stops[0]?.();
      stops[0]?.();
      await pool.use(() => {});
      await equal();
      stops[1]?.();
    });
  });

  it('counts nothing twice when two copies of the library are asked, and goes on until both have stopped', async () => {
    const { provider, say } = sdk();
    vi.resetModules();
    const copy = await import('scoped-pool/otel');
    expect(copy.observe).not.toBe(observe);
    const stops = [observe, copy.observe].map((each) => each({ meterProvider: provider, spans: 'none' }));
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
      stops[1]?.();
      expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
      stops[0]?.();
    });
  });

  it('says 0 of what is open once it has stopped, keeps what it has counted, and begins again where it was', async () => {
    const { provider, say } = sdk();
    const pool = poolOf(new Server());
    await withRoot(async () => {
      const stop = observe({ meterProvider: provider, spans: 'none' });
      const held = await pool.acquire();
      expect(asStats(await say(), pool.name)).toMatchObject({ inUse: 1, acquired: 1 });
      stop();
      stop();
      await pool.use(() => {});
      expect(asStats(await say(), pool.name)).toMatchObject({ inUse: 0, max: 0, open: 0, acquired: 1, created: 1 });
      const again = observe({ meterProvider: provider, spans: 'none' });
      await pool.use(() => {});
      expect(asStats(await say(), pool.name)).toMatchObject({ inUse: 1, idle: 1, max: 10, acquired: 2, created: 1 });
      again();
      held.release();
    });
  });

  it('tells several providers, each of all', async () => {
    const all = [sdk(), sdk()];
    for (const { provider } of all) onTestFinished(observe({ meterProvider: provider, spans: 'none' }));
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      for (const { say } of all) expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
    });
  });

  it('makes each span once, however many ask for it', async () => {
    const exporter = new InMemorySpanExporter();
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    for (const _ of [1, 2]) onTestFinished(observe({ tracerProvider }));
    const pool = poolOf(new Server());
    await withRoot(() => pool.use(() => {}));
    expect(exporter.getFinishedSpans().map(({ name }) => name.split(' ')[0])).toEqual(['connect', 'acquire']);
  });

  it('goes to the global providers unless others are given', async () => {
    const { provider, say } = sdk();
    metrics.setGlobalMeterProvider(provider);
    onTestFinished(() => metrics.disable());
    onTestFinished(observe());
    const pool = poolOf(new Server());
    await withRoot(async () => {
      await pool.use(() => {});
      expect(asStats(await say(), pool.name)).toEqual(expected(pool.stats()));
    });
  });

  it('listens to nothing once it has stopped', () => {
    const listened = () => NAMES.filter((name) => channelsOf(name).some(([, channel]) => channel.hasSubscribers));
    expect(listened()).toEqual([]);
    const stop = observe({ meterProvider: sdk().provider });
    expect(listened()).toEqual(['acquire', 'lease', 'connect', 'connectionReady', 'connectionClosed', 'leaseLeaked', 'leaseOverdue']);
    stop();
    expect(listened()).toEqual([]);
    expect(CHANNELS.acquire.hasSubscribers).toBe(false);
  });

  it.each([
    [{ meterProvider: {} }, 'meterProvider must be an object with getMeter()'],
    [{ meterProvider: null }, 'meterProvider must be an object with getMeter()'],
    [{ tracerProvider: 'otlp' }, 'tracerProvider must be an object with getTracer()'],
    [{ spans: true }, 'spans must be one of "waited", "all", "none"'],
    [{ span: 'all' }, 'did you mean "spans"?'],
  ])('refuses %o', (options, said) => {
    const refused = () => observe(options as unknown as ObserveOptions);
    expect(refused).toThrow(InvalidOptionError);
    expect(refused).toThrow(said);
    expect(CHANNELS.acquire.hasSubscribers).toBe(false);
  });

  it('listens to nothing when a provider throws', () => {
    const thrown = () => {
      throw new Error('no');
    };
    expect(() => observe({ meterProvider: { getMeter: thrown } })).toThrow('no');
    expect(() => observe({ meterProvider: sdk().provider, tracerProvider: { getTracer: thrown } })).toThrow('no');
    expect(NAMES.filter((name) => channelsOf(name).some(([, channel]) => channel.hasSubscribers))).toEqual([]);
  });
});

/** An object whose methods all give another one, or throw. */
function angry<T extends object>(throws: (method: string) => boolean, log: string[]): T {
  return new Proxy(() => {}, {
    get: (_, method) => {
      if (typeof method === 'symbol' || method === 'then') return undefined;
      return () => {
        log.push(method);
        if (throws(method)) throw new Error(`${method} is broken`);
        return angry(throws, log);
      };
    },
  }) as unknown as T;
}

describe('A listener that throws', () => {
  it.each(['a diag log', 'a diag log that throws, too'])(
    'breaks no acquire, release or close, when instruments and spans throw: %s',
    async (log) => {
      const errors = uncaught('uncaughtException');
      const rejections = uncaught('unhandledRejection');
      const told: unknown[] = [];
      const onError = (...said: unknown[]) => {
        told.push(said);
        if (log !== 'a diag log') throw new Error('the log is broken');
      };
      diag.setLogger({ error: onError, warn: () => {}, info: () => {}, debug: () => {}, verbose: () => {} });
      onTestFinished(() => diag.disable());
      const called: string[] = [];
      const throws = (method: string) => ['add', 'record', 'startSpan', 'observe'].includes(method);
      const tracer = angry<Tracer>(throws, called);
      const instrument = () => angry<object>(throws, called);
      let look!: (result: object) => void;
      const meter = {
        createCounter: instrument,
        createHistogram: instrument,
        createObservableUpDownCounter: instrument,
        addBatchObservableCallback: (callback: typeof look) => {
          look = callback;
        },
      };
      const meterProvider = { getMeter: () => meter } as unknown as MeterProvider;
      onTestFinished(observe({ meterProvider, tracerProvider: { getTracer: () => tracer } as TracerProvider, spans: 'all' }));
      await provoke(() => look(angry(throws, called)));
      expect(new Set(called)).toEqual(new Set(['add', 'record', 'startSpan', 'observe']));
      expect(told.length).toBeGreaterThan(4);
      expect([errors, rejections]).toEqual([[], []]);
    },
  );

  it('ends its span all the same when what it says of an error throws', async () => {
    const errors = uncaught('uncaughtException');
    const called: string[] = [];
    const tracer = angry<Tracer>((method) => method === 'setStatus', called);
    onTestFinished(observe({ tracerProvider: { getTracer: () => tracer } as TracerProvider }));
    await provoke(() => {});
    expect(called.filter((method) => method === 'startSpan').length).toBe(called.filter((method) => method === 'end').length);
    expect(called).toContain('setStatus');
    expect(errors).toEqual([]);
  });

  it('breaks nothing either when it is somebody else’s, whose error Node reports as uncaught', async () => {
    const errors = uncaught('uncaughtException');
    const { provider, say } = sdk();
    onTestFinished(observe({ meterProvider: provider, spans: 'none' }));
    for (const name of NAMES) {
      for (const [event, channel] of channelsOf(name)) {
        const thrower = () => {
          throw new Error(event);
        };
        channel.subscribe(thrower);
        onTestFinished(() => void channel.unsubscribe(thrower));
      }
    }
    await provoke(() => {});
    await turns();
    expect(errors.length).toBeGreaterThan(10);
    const { created, closedBy, timeouts, leaked, createFailed } = asStats(await say(), provoked);
    expect({ created, closedBy, timeouts, leaked, createFailed }).toEqual({
      ...{ created: 2, timeouts: 1, leaked: 1, createFailed: 1 },
      closedBy: { leaked: 1, closed: 1 },
    });
  });
});

let provoked = '';

/** Creates, fails to, lends, lets wait, times out, leaks and closes; all of it as without a listener. */
async function provoke(meanwhile: () => void): Promise<void> {
  const server = new Server();
  server.onCreate = () => (server.attempts === 1 ? Promise.reject(new Error('refused')) : undefined);
  const pool = poolOf(server, { max: 1 });
  provoked = pool.name;
  const reported: unknown[] = [];
  await withRoot(
    async () => {
      expect(await pool.use(({ id }) => id)).toBe(1);
      const held = await pool.acquire();
      await expect(pool.acquire({ acquireTimeoutMs: 5 })).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      const waiting = pool.acquire();
      meanwhile();
      held.release();
      (await waiting).release();
      await withScope(async () => void (await pool.acquire()));
      await until(() => pool.stats().closed === 1);
      await pool.use(() => {});
      expect(pool.stats()).toMatchObject({ created: 2, timeouts: 1, leaked: 1, createFailed: 1, inUse: 0 });
    },
    { onSuppressed: (error) => void reported.push(error) },
  );
  expect(reported).toMatchObject([{ code: 'ERR_LEASE_LEAKED' }]);
  expect(server.open).toBe(0);
}
