import { ShardChannelMovedError, ShardChannelsApartError, SubscriberRefusedError } from '../../errors.ts';
import { slotOf } from '../../redis/cluster/slots.ts';
import type { Redis } from '../../redis/ioredis.ts';
import { KINDS, type Kind, UNDO, type Wanted } from '../wanted.ts';
import { isMoved, type Sharding } from './sharding.ts';

/** Of one command; each name is an argument of a call. */
const MOST_NAMES = 1_000;

/** What the server says of a name that it would say again. The others pass: CLUSTERDOWN, LOADING. */
const REFUSED = /^(?:ERR|NOPERM) /;

/** Whose they are. */
export interface SubscriptionsOwner {
  readonly subscriber: string;
  /** Whether the next connection may lead to another node. */
  readonly canFollow: boolean;
}

/** What the server was asked for. */
interface Asked {
  isAnswered: boolean;
}

/** What one connection is subscribed to. */
export class Subscriptions {
  readonly #connection: Redis;
  readonly #sharding: Sharding;
  readonly #owner: SubscriptionsOwner;
  readonly #asked: Readonly<Record<Kind, Map<string, Asked>>> = { subscribe: new Map(), psubscribe: new Map(), ssubscribe: new Map() };
  /** All that was sent: one promise, for to wait for each anew would take longer the more there are. */
  #answered: Promise<unknown> = Promise.resolve();

  constructor(connection: Redis, sharding: Sharding, owner: SubscriptionsOwner) {
    this.#connection = connection;
    this.#sharding = sharding;
    this.#owner = owner;
  }

  /** Subscribes to what is wanted and to nothing else, and waits until the server has acknowledged it. @throws what the server says. */
  async sync(wanted: Wanted): Promise<void> {
    const sent = KINDS.flatMap((kind) => this.#send(kind, wanted));
    this.#answered = Promise.all([this.#answered, ...sent]).then(() => {});
    await this.#answered;
  }

  /** Whether the server has acknowledged it. */
  has(kind: Kind, name: string): boolean {
    return this.#asked[kind].get(name)?.isAnswered === true;
  }

  #send(kind: Kind, wanted: Wanted): readonly Promise<void>[] {
    const asked = this.#asked[kind];
    const more = wanted.names(kind).filter((name) => !asked.has(name));
    const fewer = [...asked.keys()].filter((name) => !wanted.has(kind, name));
    const done = inPieces(more, kind).map((names) => this.#ask(kind, names, wanted));
    for (const name of fewer) asked.delete(name);
    const undone = inPieces(fewer, kind).map((names) => this.#undo(kind, names));
    return [...done, ...undone];
  }

  async #undo(kind: Kind, names: readonly string[]): Promise<void> {
    await this.#connection[UNDO[kind]](...names).catch((error: Error) => {
      // Then nothing of it comes, either.
      if (!isMoved(error)) throw error;
    });
  }

  async #ask(kind: Kind, names: readonly string[], wanted: Wanted): Promise<void> {
    const asked = this.#asked[kind];
    const one: Asked = { isAnswered: false };
    for (const name of names) asked.set(name, one);
    const [first = ''] = names;
    try {
      await (kind === 'ssubscribe' ? this.#sharding.subscribe(first) : this.#connection[kind](...names));
      one.isAnswered = true;
    } catch (error) {
      for (const name of names) if (asked.get(name) === one) asked.delete(name);
      await this.#onRefused(kind, names, wanted, error as Error);
    }
  }

  /** @throws what concerns more than names that are new. */
  async #onRefused(kind: Kind, names: readonly string[], wanted: Wanted, error: Error): Promise<void> {
    const [first = ''] = names;
    if (isMoved(error)) return this.#onElsewhere(first, wanted);
    if (error.name !== 'ReplyError' || !REFUSED.test(error.message)) throw error;
    // It does not say which one.
    if (names.length > 1) return this.#askOneByOne(kind, names, wanted);
    const refusal = new SubscriberRefusedError(this.#owner.subscriber, error, names);
    if (!wanted.refuse(kind, first, refusal)) throw refusal;
  }

  async #askOneByOne(kind: Kind, names: readonly string[], wanted: Wanted): Promise<void> {
    const asked = this.#asked[kind];
    const still = names.filter((name) => wanted.has(kind, name) && !asked.has(name));
    await Promise.all(still.map((name) => this.#ask(kind, [name], wanted)));
  }

  /** Another node owns the channel: to be followed there, unless those of another slot would be left behind. */
  #onElsewhere(channel: string, wanted: Wanted): void {
    const { subscriber, canFollow } = this.#owner;
    const other = [...this.#asked.ssubscribe.keys()].find((known) => slotOf('get', [known]) !== slotOf('get', [channel]));
    const error =
      other === undefined ? new ShardChannelMovedError(subscriber, channel) : new ShardChannelsApartError(subscriber, [other, channel]);
    const isHopeless = other !== undefined || !canFollow;
    // What has just been lost leaves with the others.
    if (isHopeless && !this.#sharding.isLost && wanted.refuse('ssubscribe', channel, error)) return;
    throw error;
  }
}

/** Sharded channels of one command would have to be of one slot, hence pieces of one. */
function inPieces(names: readonly string[], kind: Kind): (readonly string[])[] {
  const size = kind === 'ssubscribe' ? 1 : MOST_NAMES;
  return Array.from({ length: Math.ceil(names.length / size) }, (_, piece) => names.slice(piece * size, (piece + 1) * size));
}
