import { CHANNELS, type Message } from '../channels.ts';
import type { Lifetime } from './lifetime.ts';

/** A scope begins. @returns the message, to be published again at its end. */
export function publishBegin({ name, parent }: Lifetime): Message {
  const message: Message = { scope: name, parent: parent?.name };
  CHANNELS.scope.start.publish(message);
  CHANNELS.scope.end.publish(message);
  return message;
}

export function publishEnd(message: Message, failure: { readonly error: unknown } | undefined): void {
  if (failure) {
    message.error = failure.error;
    CHANNELS.scope.error.publish(message);
  }
  CHANNELS.scope.asyncStart.publish(message);
  CHANNELS.scope.asyncEnd.publish(message);
}
