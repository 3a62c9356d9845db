import type { CHANNELS, Message } from '../../channels.ts';
import { diag } from './api.ts';

type Channel = (typeof CHANNELS)['connectionReady'];
type Listener = (message: Message) => void;

/** Listens to channels of the library. @returns what takes all listeners off again. */
export function listen(...listeners: readonly (readonly [Channel, Listener])[]): () => void {
  const guarded = listeners.map(
    ([channel, listener]) => [channel, (message: unknown) => quietly(() => listener(message as Message))] as const,
  );
  for (const [channel, listener] of guarded) channel.subscribe(listener);
  return () => {
    for (const [channel, listener] of guarded) channel.unsubscribe(listener);
  };
}

/** Runs what may throw and must disturb nobody: an error of a listener would end the process. OpenTelemetry's own log is told. */
export function quietly(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    try {
      diag.error('scoped-pool/otel could not tell of an event', error);
    } catch {
      // A log that throws, too: nobody is left to be told.
    }
  }
}
