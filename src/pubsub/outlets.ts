import { wallTime } from '../clock.ts';
import { Inbox, type InboxRules } from './inbox.ts';
import type { Gap, Message } from './messages.ts';
import type { SubscriberOptions } from './options.ts';

const MAX_BUFFERED = 10_000;

/** The iterators of a subscriber: each has a buffer of its own. */
export class Outlets<M> {
  readonly #name: string;
  readonly #rules: InboxRules;
  readonly #inboxes = new Set<Inbox<Message<M> | Gap>>();
  #end: { readonly error?: unknown } | undefined;

  constructor(name: string, { maxBuffered: max = MAX_BUFFERED, overflow = 'drop-oldest' }: SubscriberOptions) {
    this.#name = name;
    this.#rules = { max, overflow };
  }

  get size(): number {
    return this.#inboxes.size;
  }

  open(): Inbox<Message<M> | Gap> {
    const inbox: Inbox<Message<M> | Gap> = new Inbox(this.#name, this.#rules, {
      onDropped: ({ after, before, dropped }) => ({ type: 'gap', after, before, reason: 'overflow', dropped }),
      onEnd: () => void this.#inboxes.delete(inbox),
    });
    if (this.#end) inbox.end(this.#end);
    else this.#inboxes.add(inbox);
    return inbox;
  }

  /** @param source Knows after which instant the message was published. */
  give(message: Message<M>, source: { readonly oldestAt: number }): void {
    if (this.#inboxes.size === 0) return;
    const kept = { item: message, after: source.oldestAt - 1, before: wallTime() + 1, count: 1 } as const;
    for (const inbox of this.#inboxes) inbox.push(kept);
  }

  giveGap(gap: Gap): void {
    const kept = { item: gap, after: gap.after, before: gap.before, count: 0 } as const;
    for (const inbox of this.#inboxes) inbox.push(kept);
  }

  /** What has come can still be taken. */
  end(failure: { readonly error?: unknown }): void {
    this.#end = failure;
    for (const inbox of this.#inboxes) inbox.end(failure);
    this.#inboxes.clear();
  }
}
