// The one door to @opentelemetry/api.
export {
  type Attributes,
  type BatchObservableCallback,
  diag,
  type Meter,
  type MeterProvider,
  metrics,
  type Observable,
  type Span,
  SpanStatusCode,
  type TracerProvider,
  trace,
  ValueType,
} from '@opentelemetry/api';
