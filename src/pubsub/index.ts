import { NoScopeError } from '../errors.ts';
import { tryCurrentScope } from '../scope/index.ts';
import { checkSubscriber, type SubscriberOptions } from './options.ts';
import { Subscriber } from './subscriber.ts';

export type { ClusterNode } from '../redis/cluster/options.ts';
export type { Codec } from './codec.ts';
export { clusterNode } from './connection/cluster-node.ts';
export type { SubscriberEvents, SubscriberStatus } from './events.ts';
export type { Overflow } from './inbox.ts';
export type { DownReason, Gap, GapReason, Message } from './messages.ts';
export type { ConnectContext, DeliveryProbe, Heartbeat, SubscriberOptions, TopicOptions } from './options.ts';
export type { PublisherOverflow } from './publisher/backlog.ts';
export type { Publisher } from './publisher/publisher.ts';
export { type PublisherOptions, publishFrom } from './publisher/publishing.ts';
export type { Subscriber } from './subscriber.ts';
export { subscribeTo } from './topic.ts';

/**
 * Subscribes to channels of Redis until the current scope closes, over a connection of its own that is replaced when
 * it ends, is silent, or starves. It begins at once; whoever listens in the same tick misses nothing, and
 * `await subscriber.synced()` waits until everything that is published comes.
 *
 * @param name Shown in errors, and in `CLIENT LIST`.
 * @throws InvalidOptionError, or NoScopeError outside every scope.
 */
export function createSubscriber(name: string, options: SubscriberOptions & { readonly binary: true }): Subscriber<Buffer>;
export function createSubscriber(name: string, options?: SubscriberOptions & { readonly binary?: false | undefined }): Subscriber;
export function createSubscriber(name: string, options: SubscriberOptions): Subscriber | Subscriber<Buffer>;
export function createSubscriber(name: string, options: SubscriberOptions = {}): Subscriber | Subscriber<Buffer> {
  checkSubscriber(name, options);
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError(`createSubscriber("${name}")`);
  return options.binary ? new Subscriber<Buffer>(name, options, scope) : new Subscriber<string>(name, options, scope);
}
