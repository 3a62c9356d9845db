// Compiled by `tsc`, never run: what is published and subscribed to has the type that it was said to have.
import { createSubscriber, type Gap, type Message, type Publisher, publishFrom, type Subscriber, subscribeTo } from 'scoped-pool/pubsub';
import { defineRedisClusterPool, defineRedisPool } from 'scoped-pool/redis';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function holds<T extends true>(): T;

interface Tick {
  readonly symbol: string;
  readonly price: number;
}
declare const ticks: AsyncIterable<Tick>;
const redis = defineRedisPool('typed-pubsub', { host: '127.0.0.1' });

export async function publishing() {
  const publisher = publishFrom<Tick>(ticks, redis, 'ticks', { maxBuffered: 10, overflow: 'wait' });
  holds<Equal<typeof publisher, Publisher>>();
  publishFrom([{ symbol: 'a', price: 1 }], redis, 'ticks');
  publishFrom(['text', Buffer.from('a'), new Uint8Array(1)], redis, 'ticks', { codec: 'bytes' });
  // @ts-expect-error of something else
  publishFrom<Tick>([{ symbol: 'a' }], redis, 'ticks');
  // @ts-expect-error no bytes
  publishFrom(ticks, redis, 'ticks', { codec: 'bytes' });
  // @ts-expect-error no source
  publishFrom(5, redis, 'ticks');
  // @ts-expect-error no policy
  publishFrom(ticks, redis, 'ticks', { overflow: 'drop' });
  // @ts-expect-error a cluster has no one connection
  publishFrom(ticks, defineRedisClusterPool('typed-cluster-pubsub', { nodes: ['redis://127.0.0.1'] }), 'ticks');
}

export async function subscribing() {
  const subscriber = subscribeTo<Tick>('ticks', { maxBuffered: 10, overflow: 'drop-oldest' });
  holds<Equal<typeof subscriber, Subscriber<Tick>>>();
  for await (const event of subscriber) {
    holds<Equal<typeof event, Message<Tick> | Gap>>();
    if (event.type === 'message') holds<Equal<typeof event.message, Tick>>();
  }
  subscriber.on('message', ({ message }) => holds<Equal<typeof message, Tick>>());
  const unknown = subscribeTo('ticks');
  holds<Equal<typeof unknown, Subscriber<unknown>>>();
  const bytes = subscribeTo('ticks', { codec: 'bytes' });
  holds<Equal<typeof bytes, Subscriber<Buffer>>>();
  const texts = createSubscriber('ticks', { channels: ['ticks'] });
  holds<Equal<typeof texts, Subscriber<string>>>();
  // @ts-expect-error it has one channel
  subscribeTo('ticks', { channels: ['other'] });
  // @ts-expect-error see codec
  subscribeTo('ticks', { binary: true });
  // @ts-expect-error nothing holds a publisher back from here
  subscribeTo('ticks', { overflow: 'wait' });
}
