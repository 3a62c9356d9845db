import { NoScopeError } from '../../errors.ts';
import { type Check, checkArgument, checkOptions, integer, oneOf, text } from '../../options.ts';
import type { RedisPool } from '../../redis/api.ts';
import { tryCurrentScope } from '../../scope/index.ts';
import { CODECS, type Codec } from '../codec.ts';
import { PUBLISHER_OVERFLOWS, type PublisherOverflow } from './backlog.ts';
import type { Source } from './intake.ts';
import { Publisher } from './publisher.ts';

const MAX_BUFFERED = 1_000;

/** Settings of `publishFrom`. */
export interface PublisherOptions {
  /** How items are published: as `json`, or as the `bytes` that they are: texts, Buffers, Uint8Arrays. Default `json`. */
  readonly codec?: Codec | undefined;
  /** How many items wait for the server, as while it is away, beside those on their way. Default 1,000. */
  readonly maxBuffered?: number | undefined;
  /** What comes of further ones: the source has to `wait`, some are dropped and counted, or it ends with an error. Default `wait`. */
  readonly overflow?: PublisherOverflow | undefined;
}

const CHECKS = { codec: oneOf(...CODECS), maxBuffered: integer(1), overflow: oneOf(...PUBLISHER_OVERFLOWS) };

const source: Check = (value) => {
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = Object(value) as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  // A text would be published letter by letter.
  const isOne = typeof value === 'object' && (typeof later === 'function' || typeof now === 'function');
  return isOne ? undefined : 'an async iterable or an iterable that is no text, such as a generator or a stream';
};

const redisPool: Check = (value) => {
  const { plain } = Object(value) as { readonly plain?: { readonly kind?: unknown } };
  return plain?.kind === 'redis' ? undefined : 'a pool, as defineRedisPool() gives it, in a cluster one of any of its nodes';
};

/**
 * Publishes what a source yields, in order, on a channel of Redis, until the source ends, or the current scope. It begins
 * at once. While the server is away items wait; what it has surely not executed is sent again, and nothing else is, so
 * that nothing comes twice. When the scope closes, the source is ended first, and what it has yielded is published
 * within the `graceMs` of the scope; when it is cancelled, nothing more is sent. A source that throws fails the
 * scope, as a task does, when all that came before is published.
 *
 * @throws InvalidOptionError, or NoScopeError outside every scope.
 */
export function publishFrom(
  source: Source<string | Uint8Array>,
  pool: RedisPool,
  topic: string,
  options: PublisherOptions & { readonly codec: 'bytes' },
): Publisher;
export function publishFrom<T>(
  source: Source<T>,
  pool: RedisPool,
  topic: string,
  options?: PublisherOptions & { readonly codec?: 'json' | undefined },
): Publisher;
export function publishFrom(from: Source<unknown>, pool: RedisPool, topic: string, options: PublisherOptions = {}): Publisher {
  checkArgument('publishFrom()', 'its source', from, source);
  checkArgument('publishFrom()', 'its pool', pool, redisPool);
  checkArgument('publishFrom()', 'its topic', topic, text);
  const where = `publishFrom("${topic}")`;
  checkOptions(where, options, CHECKS);
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError(where);
  const { codec = 'json', maxBuffered: max = MAX_BUFFERED, overflow = 'wait' } = options;
  return new Publisher({ source: from, pool, topic, codec, rules: { max, overflow } }, scope);
}
