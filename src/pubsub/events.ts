import type { DownReason, Gap, Message } from './messages.ts';

/** How a subscriber is. `down`: it is making another connection; the old one, if it still lives, goes on delivering. */
export type SubscriberStatus = 'connecting' | 'up' | 'down' | 'failed' | 'closed';

/** What a subscriber tells, by the names of its events. */
export interface SubscriberEvents<M = string> {
  message: [message: Message<M>];
  gap: [gap: Gap];
  /** The server answered. */
  ping: [ping: { readonly epoch: number; readonly rttMs: number }];
  /** The connection has ended, or is suspected; told at once. */
  down: [down: { readonly epoch: number; readonly reason: DownReason; readonly error: Error }];
  /** An attempt to connect has failed; another follows. */
  retry: [retry: { readonly failures: number; readonly error: Error; readonly nextMs: number }];
  /** Subscribed, to all that is wanted. */
  up: [up: { readonly epoch: number; readonly gap: Gap | undefined }];
  /** The server refuses it, and it has ended. Without anybody who hears this, the scope reports it. */
  failed: [error: Error];
  /** A listener threw, or rejected. Without anybody who hears this, the scope reports it. */
  'handler-error': [error: unknown, event: string];
}
