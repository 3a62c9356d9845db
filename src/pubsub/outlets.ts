import { wallTime } from '../clock.ts';
import { type Scope, tryCurrentScope } from '../scope/index.ts';
import { whenClosing } from './door.ts';
import { Inbox, type InboxRules } from './inbox.ts';
import type { Gap, Message } from './messages.ts';
import type { SubscriberOptions } from './options.ts';

const MAX_BUFFERED = 10_000;

/** The iterators of a subscriber: each has a buffer of its own. */
export class Outlets<M> {
  readonly #name: string;
  readonly #rules: InboxRules;
  readonly #scope: Scope;
  readonly #inboxes = new Set<Inbox<Message<M> | Gap>>();
  #end: { readonly error?: unknown } | undefined;
  /** Takes back what it has asked of the scope. */
  #letGo: (() => void) | undefined;

  /** @param scope Of the subscriber: when it begins to close, iterators end, or the loops over them would hold it up. */
  constructor(name: string, { maxBuffered: max = MAX_BUFFERED, overflow = 'drop-oldest' }: SubscriberOptions, scope: Scope) {
    this.#name = name;
    this.#rules = { max, overflow };
    this.#scope = scope;
  }

  get size(): number {
    return this.#inboxes.size;
  }

  /** One that ends, and forgets what it has, when the scope that it is opened in closes or is cancelled. */
  open(): Inbox<Message<M> | Gap> {
    if (this.#scope.state !== 'open') this.end({});
    const signal = this.#signalHere();
    const leave = () => void inbox.return();
    const inbox: Inbox<Message<M> | Gap> = new Inbox(this.#name, this.#rules, {
      onDropped: ({ after, before, dropped }) => ({ type: 'gap', after, before, reason: 'overflow', dropped }),
      onEnd: () => {
        this.#inboxes.delete(inbox);
        signal?.removeEventListener('abort', leave);
      },
    });
    if (this.#end || signal?.aborted) {
      inbox.end(this.#end);
      return inbox;
    }
    this.#letGo ??= this.#endWithScope();
    this.#inboxes.add(inbox);
    signal?.addEventListener('abort', leave, { once: true });
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
    this.#letGo?.();
    this.#letGo = undefined;
  }

  /** Not where an inbox is made: the function would keep that one as long as the scope. */
  #endWithScope(): () => void {
    return whenClosing(this.#scope, `iterators of ${this.#name}`, () => this.end({}));
  }

  /** Of the scope that is here, where that is not the one of the subscriber. */
  #signalHere(): AbortSignal | undefined {
    const here = tryCurrentScope();
    return here === this.#scope ? undefined : here?.signal;
  }
}
