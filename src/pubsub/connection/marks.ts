import { randomUUID } from 'node:crypto';

/** Begins the names of private channels; users of the server need `&sp:mark:*` to hand over without a gap. */
const PREFIX = 'sp:mark:';

/** A channel over which a subscriber tells itself how far it is. */
export function privateChannel(service: string, subscriber: string): string {
  return `${PREFIX}${service}:${subscriber}:${randomUUID()}`;
}

/** Whether it is one, of whichever subscriber: a pattern such as `*` hears those of the others, too. */
export function isPrivate(channel: string): boolean {
  return channel.startsWith(PREFIX);
}

/** What hears marks. */
export interface Markable {
  /** Whether what comes, other than marks, is thrown away. */
  readonly isStopped: boolean;
  /** Calls back, in the place where it comes, when that has come over the private channel. */
  onMark(mark: string, fn: () => void): void;
  offMark(mark: string): void;
}
