import { NoScopeError } from '../errors.ts';
import { tryCurrentScope } from '../scope/index.ts';
import { Decoding } from './decoding.ts';
import { checkTopic, type TopicOptions } from './options.ts';
import { Subscriber } from './subscriber.ts';

/**
 * Subscribes to a channel whose messages are JSON, or bytes, until the current scope closes: a subscriber like that of
 * `createSubscriber`, which gives what `publishFrom` was given. A message that is no JSON is skipped and, seldom, reported.
 *
 * @param topic The channel, and the name of the subscriber. What its messages are nobody checks.
 * @throws InvalidOptionError, or NoScopeError outside every scope.
 */
export function subscribeTo(topic: string, options: TopicOptions & { readonly codec: 'bytes' }): Subscriber<Buffer>;
export function subscribeTo<T = unknown>(topic: string, options?: TopicOptions & { readonly codec?: 'json' | undefined }): Subscriber<T>;
export function subscribeTo<T>(topic: string, options: TopicOptions = {}): Subscriber<Buffer> | Subscriber<T> {
  checkTopic(topic, options);
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError(`subscribeTo("${topic}")`);
  const { codec, ...others } = options;
  const binary = codec === 'bytes';
  const subscriberOptions = { ...others, channels: [topic], binary };
  if (binary) return new Subscriber<Buffer>(topic, subscriberOptions, scope);
  const decoding = new Decoding<T>(topic, (error) => scope.report(error, `subscriber ${topic}`));
  return new Subscriber<T>(topic, subscriberOptions, scope, decoding);
}
