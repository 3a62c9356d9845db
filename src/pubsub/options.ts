import { InvalidOptionError } from '../errors.ts';
import { type Check, callable, checkArgument, duration, flag, integer, oneOf, text } from '../options.ts';
import { CONNECTION_CHECKS, type ConnectionOptions, checkConnectionOptions } from '../redis/options.ts';
import { CODECS, type Codec } from './codec.ts';
import { OVERFLOWS, type Overflow } from './inbox.ts';

/** How often a connection is asked, where nothing else is said, in milliseconds. */
export const PING_MS = 30_000;
/** How long the answer may take then, in milliseconds. */
export const PONG_MS = 5_000;

/** Proof that messages come through, and not only answers. */
export interface DeliveryProbe {
  /** Publishes by the way that your publishers take, such as `pool.publish`. */
  readonly publish: (channel: string, message: string) => Promise<unknown>;
  /** How long after the last one was answered, and how long it may take then to come, in milliseconds. Default `pingMs`. */
  readonly everyMs?: number | undefined;
}

/** What is known when a connection is to be made. */
export interface ConnectContext {
  /** How often it has failed since the last connection ended. */
  readonly failures: number;
  /** Why the last attempt failed, or the last connection ended; nothing at first, and after `refresh()`. */
  readonly error: unknown;
  /** The name of the subscriber. */
  readonly subscriber: string;
  /** Its options, which those that are given replace; the same object each time, and of no other subscriber. */
  readonly options: SubscriberOptions;
  /** The sharded channels that it is to be subscribed to. */
  readonly shardChannels: readonly string[];
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** When a connection is asked whether it lives. */
export type Heartbeat = 'always' | 'idle';

/** Settings of `createSubscriber`: of the subscriber, and any option of ioredis that it does not own. */
export interface SubscriberOptions extends ConnectionOptions {
  /** Channels to begin with. */
  readonly channels?: readonly string[] | undefined;
  /** Patterns to begin with, such as `news.*`. */
  readonly patterns?: readonly string[] | undefined;
  /** Sharded channels to begin with, all of one node of a cluster. */
  readonly shardChannels?: readonly string[] | undefined;
  /** How often the connection is asked whether it lives, in milliseconds; less than what a NAT on the way forgets after. Default 30,000. */
  readonly pingMs?: number | undefined;
  /** How long nothing may come after that until the connection counts as dead, in milliseconds. Default 5,000, or `pingMs` where that is less. */
  readonly pongMs?: number | undefined;
  /** `always`: also while messages come, so that gaps are known to `pingMs`. `idle`: only after silence. Default `always`. */
  readonly heartbeat?: Heartbeat | undefined;
  /** Messages are Buffers. Default false. */
  readonly binary?: boolean | undefined;
  /** How many messages an iterator keeps for a consumer that is slower. Default 10,000. */
  readonly maxBuffered?: number | undefined;
  /** What an iterator does beyond that: it gives a gap in place of what it drops, or throws. Default `drop-oldest`. */
  readonly overflow?: Overflow | undefined;
  /** Publishes to a private channel and waits for it: a server that nobody publishes to any more answers, too. */
  readonly deliveryProbe?: DeliveryProbe | undefined;
  /** Other options for each attempt to connect, such as those of `clusterNode([...])`; they replace those given here. */
  readonly connect?: ((context: ConnectContext) => ConnectionOptions | Promise<ConnectionOptions>) | undefined;
}

/** Settings of `subscribeTo`: those of `createSubscriber`, but for what names channels. */
export interface TopicOptions extends Omit<SubscriberOptions, 'channels' | 'patterns' | 'shardChannels' | 'binary'> {
  /** What messages are: `json`, or `bytes`, which come as Buffers. Default `json`. */
  readonly codec?: Codec | undefined;
}

/** Names of channels. */
export const names: Check = (value) =>
  Array.isArray(value) && value.every((name) => text(name) === undefined) ? undefined : 'a list of texts that are not empty';

const probe: Check = (value) => {
  const { publish, everyMs } = (value ?? {}) as Partial<DeliveryProbe>;
  const isOne = typeof publish === 'function' && (everyMs === undefined || duration(1)(everyMs) === undefined);
  return isOne ? undefined : 'an object { publish, everyMs }, the first a function, the second milliseconds from 1';
};

const OWN = {
  ...CONNECTION_CHECKS,
  channels: names,
  patterns: names,
  shardChannels: names,
  pingMs: duration(1),
  pongMs: duration(1),
  heartbeat: oneOf('always', 'idle'),
  binary: flag,
  maxBuffered: integer(1),
  overflow: oneOf(...OVERFLOWS),
  deliveryProbe: probe,
  connect: callable,
};

const ELSEWHERE = {
  keyPrefix: 'it holds for keys, not for channels',
  commandTimeoutMs: 'see connectTimeoutMs and pongMs',
  retry: 'a subscriber connects again until it is closed',
};

/** @throws InvalidOptionError */
export function checkSubscriber(name: string, options: SubscriberOptions): void {
  checkArgument('createSubscriber()', 'its name', name, text);
  const where = `createSubscriber("${name}")`;
  checkConnectionOptions(where, options, { own: OWN, elsewhere: ELSEWHERE });
  checkPong(where, options);
}

function checkPong(where: string, { pingMs = PING_MS, pongMs }: TopicOptions): void {
  if (pongMs !== undefined && pongMs > pingMs)
    throw new InvalidOptionError({ where, option: 'pongMs', expected: `at most pingMs, ${pingMs}`, actual: pongMs });
}

const { channels, patterns, shardChannels, binary, ...SHARED } = OWN;
const ONE_TOPIC = 'its topic is its channel; createSubscriber() has several';
const TOPIC = {
  own: { ...SHARED, codec: oneOf(...CODECS) },
  elsewhere: { ...ELSEWHERE, channels: ONE_TOPIC, patterns: ONE_TOPIC, shardChannels: ONE_TOPIC, binary: 'codec: "bytes" gives Buffers' },
};

/** @throws InvalidOptionError */
export function checkTopic(topic: string, options: TopicOptions): void {
  checkArgument('subscribeTo()', 'its topic', topic, text);
  const where = `subscribeTo("${topic}")`;
  checkConnectionOptions(where, options, TOPIC);
  checkPong(where, options);
}

/** Of what `connect` gave, with the others. @throws InvalidOptionError */
export function checkConnect(name: string, options: SubscriberOptions): void {
  checkConnectionOptions(`connect() of subscriber "${name}"`, options, { own: OWN, elsewhere: ELSEWHERE });
}

/** The options that say where the server is: who gives one of them means no other. */
const PLACES = ['url', 'host', 'port', 'path', 'sentinels'] as const;

/** The options, with those in their place that were given for one connection. */
export function withGiven(options: SubscriberOptions, given: ConnectionOptions): SubscriberOptions {
  const isElsewhere = PLACES.some((place) => given[place] !== undefined);
  const without = isElsewhere ? Object.fromEntries(PLACES.map((place) => [place, undefined])) : {};
  return { ...options, ...without, ...given };
}

/** @throws InvalidOptionError */
export function checkNames(where: string, given: readonly unknown[]): void {
  for (const name of given.length === 0 ? [undefined] : given) checkArgument(where, 'its name', name, text);
}
