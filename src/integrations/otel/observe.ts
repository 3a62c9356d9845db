import { type Check, checkOptions, oneOf } from '../../options.ts';
import { checkCopy } from '../../scope/copy.ts';
import { type MeterProvider, metrics, type TracerProvider, trace } from './api.ts';
import { Metrics } from './metrics.ts';
import { recordSpans, type SpanChoice } from './spans.ts';
import { Wanted } from './wanted.ts';

/** Settings of `observe`. */
export interface ObserveOptions {
  /** Where metrics go; one that is set as the global one later is not found. Default: the global one. */
  readonly meterProvider?: MeterProvider | undefined;
  /** Where spans go. Default: the global one. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Which acquires have a span: those that had to wait, all, or none; with `none` the creation of connections has none either. Default `waited`. */
  readonly spans?: SpanChoice | undefined;
}

const CHECKS = {
  meterProvider: having('getMeter'),
  tracerProvider: having('getTracer'),
  spans: oneOf('waited', 'all', 'none'),
} satisfies Record<keyof ObserveOptions, Check>;

/** What each provider is told, by whichever copy of the library was asked first: all listen to the same channels. */
interface Told {
  readonly metrics: WeakMap<MeterProvider, Wanted>;
  readonly spans: WeakMap<TracerProvider, Wanted>;
}

const KEY = Symbol.for('scoped-pool.otel');
const place = globalThis as { [KEY]?: Told };
place[KEY] ??= { metrics: new WeakMap(), spans: new WeakMap() };
const told: Told = place[KEY];

/**
 * Tells OpenTelemetry of all pools and scopes of the process, of whichever copy of the library: metrics by the
 * semantic conventions of database clients, and spans of acquires that wait.
 *
 * A provider that is told already is not told twice: it goes on until all who asked for it have stopped, with the
 * `spans` of the first.
 *
 * @returns what stops it; from then on the metrics of what is open say 0.
 * @throws InvalidOptionError, IncompatibleCopyError, and what a provider throws.
 */
export function observe(options: ObserveOptions = {}): () => void {
  checkOptions('observe()', options, CHECKS);
  checkCopy();
  const { meterProvider = metrics.getMeterProvider(), tracerProvider = trace.getTracerProvider(), spans = 'waited' } = options;
  const stopMetrics = wantedOf(told.metrics, meterProvider, () => {
    const all = new Metrics(meterProvider);
    return () => all.start();
  }).want();
  if (spans === 'none') return stopMetrics;
  try {
    const stopSpans = wantedOf(told.spans, tracerProvider, () => () => recordSpans(tracerProvider, spans)).want();
    return () => {
      stopMetrics();
      stopSpans();
    };
  } catch (error) {
    stopMetrics();
    throw error;
  }
}

function wantedOf<P extends object>(known: WeakMap<P, Wanted>, provider: P, make: () => () => () => void): Wanted {
  const wanted = known.get(provider) ?? new Wanted(make());
  known.set(provider, wanted);
  return wanted;
}

function having(method: string): Check {
  return (value) => (typeof Object(value)[method] === 'function' ? undefined : `an object with ${method}()`);
}
