import { CHANNELS, type Message } from '../../channels.ts';
import { VERSION } from '../../context.ts';
import { messageOf } from '../../redact.ts';
import { type Span, SpanStatusCode, type TracerProvider } from './api.ts';
import { listen, quietly } from './listening.ts';
import { POOL_NAME } from './metrics.ts';

/** Which acquires have a span. */
export type SpanChoice = 'waited' | 'all' | 'none';

/** Records spans of acquires, and of connections that are made. @returns what stops it. */
export function recordSpans(provider: TracerProvider, choice: SpanChoice): () => void {
  const tracer = provider.getTracer('scoped-pool', VERSION);
  const open = new Map<Message, Span>();
  const begin = (verb: string, message: Message, isRoot: boolean) => {
    const { pool, scope, exclusive } = message;
    const attributes = { [POOL_NAME]: String(pool), 'scoped_pool.scope.name': String(scope) };
    if (exclusive !== undefined) Object.assign(attributes, { 'scoped_pool.lease.exclusive': exclusive });
    open.set(message, tracer.startSpan(`${verb} ${pool}`, { root: isRoot, attributes }));
  };
  const finish = (message: Message) => {
    const span = open.get(message);
    open.delete(message);
    try {
      if (span && 'error' in message) fail(span, message.error);
    } finally {
      span?.end();
    }
  };
  const onCalled = (message: Message) => {
    if (message.waits || choice === 'all') begin('acquire', message, false);
    if (!message.waits) finish(message);
  };
  const { acquire, connect } = CHANNELS;
  const stop = listen(
    // Still within the call: the span that is active here is that of whoever asks, not of whoever makes way for him.
    [acquire.end, onCalled],
    [acquire.asyncEnd, finish],
    // A connection outlives the job that needs it first, and others may get it: it is part of no trace of a job.
    [connect.start, (message) => begin('connect', message, true)],
    [connect.asyncEnd, finish],
  );
  return () => {
    stop();
    // Of what goes on nobody will hear the end.
    for (const span of open.values()) quietly(() => span.end());
    open.clear();
  };
}

function fail(span: Span, error: unknown): void {
  const { code, name } = Object(error);
  span.setAttribute('error.type', String(code ?? name ?? '_OTHER'));
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
}
