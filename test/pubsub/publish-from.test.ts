import { Readable } from 'node:stream';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { ItemsLostError, RedisConnectionError, Scope, withRoot } from 'scoped-pool';
import { type Publisher, type PublisherOptions, publishFrom } from 'scoped-pool/pubsub';
import { defineRedisPool, type RedisPool, type RedisPoolOptions } from 'scoped-pool/redis';
import { expectNoLeaks, replacePool } from 'scoped-pool/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openRedis, useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { listening, numbersOf, outOfOrder, proxyTo } from './support.ts';

const redis = useRedis();
let pools = 0;

const poolOf = (options: RedisPoolOptions = {}): RedisPool =>
  defineRedisPool(`publishing-${++pools}`, { url: redis().url, service: 'publishing', ...options });
const upTo = (end: number, begin = 0) => Array.from({ length: end - begin }, (_, index) => begin + index);

/** A root scope, what was reported to it and what it was told of failures. */
function rootOf(graceMs = 10_000) {
  const reports: unknown[] = [];
  const failures: unknown[] = [];
  const scope = new Scope({
    parent: null,
    name: 'root',
    graceMs,
    onError: (error) => void failures.push(error),
    onSuppressed: (error) => void reports.push(error),
  });
  onTestFinished(() => scope.close().catch(() => {}));
  const lost = () => reports.filter((report) => report instanceof ItemsLostError);
  return { scope, reports, failures, lost };
}

/** Gives what is put into it, and then nothing, until it is ended. */
class Tap<T> implements AsyncIterableIterator<T> {
  returned = 0;
  asked = 0;
  readonly #items: T[];
  #give: ((result: IteratorResult<T>) => void) | undefined;

  constructor(...items: T[]) {
    this.#items = items;
  }

  put(...items: T[]): void {
    for (const item of items) {
      const give = this.#give;
      this.#give = undefined;
      if (give) give({ done: false, value: item });
      else this.#items.push(item);
    }
  }

  async next(): Promise<IteratorResult<T>> {
    this.asked++;
    if (this.#items.length > 0) return { done: false, value: this.#items.shift() as T };
    return new Promise((resolve) => {
      this.#give = resolve;
    });
  }

  /** As a source that does not come back: who waits in next() goes on waiting. */
  async return(): Promise<IteratorResult<T>> {
    this.returned++;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** A subscriber to the topic, when it is subscribed. */
async function hearing(topic: string, url = redis().url) {
  const heard = listening({ url, channels: [topic] });
  await heard.subscriber.synced();
  return heard;
}

const sumOf = ({ published, dropped, unsure }: Publisher) => published + dropped + unsure;

describe('publishFrom()', () => {
  it('publishes 10,000 items in order, and is done', async () => {
    const { messages } = await hearing('many');
    await withRoot(async (root) => {
      const publisher = publishFrom(
        (async function* () {
          for (const number of upTo(10_000)) {
            if (number % 1_000 === 0) await turn();
            yield number;
          }
        })(),
        poolOf(),
        'many',
      );
      expect([publisher.topic, publisher.published, publisher.buffered]).toEqual(['many', 0, 0]);
      await publisher.done;
      expect([publisher.published, publisher.dropped, publisher.unsure, publisher.buffered]).toEqual([10_000, 0, 0, 0]);
      expect(root.tree().children.map(({ kind, name }) => [kind, name])).toEqual([]);
    });
    await until(() => messages.length === 10_000, { timeoutMs: 20_000 });
    expect(numbersOf(messages)).toEqual(upTo(10_000));
    await expectNoLeaks({ allow: ['root'] });
  });

  it('takes sync sources, promises in them, and sources that never wait', async () => {
    const { messages } = await hearing('sync');
    await withRoot(
      async () => {
        const pool = poolOf();
        await publishFrom([1, 2], pool, 'sync').done;
        await publishFrom(new Set([Promise.resolve(3)]), pool, 'sync').done;
        const endless = publishFrom(
          (function* () {
            for (let number = 4; ; number++) yield number;
          })(),
          pool,
          'sync',
          { overflow: 'drop-oldest', maxBuffered: 5 },
        );
        await until(() => endless.published > 1_000 && endless.dropped > 0);
        await endless.close();
        await endless.done;
      },
      { onSuppressed: () => {} },
    );
    await until(() => messages.length > 1_000);
    expect(numbersOf(messages).slice(0, 3)).toEqual([1, 2, 3]);
    expect(outOfOrder(numbersOf(messages))).toEqual([]);
  });

  it('publishes bytes as they were when they were yielded', async () => {
    const { messages } = await hearing('bytes');
    const bytes = new Uint8Array([104, 105]);
    await withRoot(async () => {
      const publisher = publishFrom(
        (function* () {
          yield bytes;
          bytes.fill(63);
          yield Buffer.from('a');
          yield 'text';
        })(),
        poolOf(),
        'bytes',
        { codec: 'bytes' },
      );
      await publisher.done;
    });
    await until(() => messages.length === 3);
    expect(messages.map(({ message }) => message)).toEqual(['hi', 'a', 'text']);
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  it.each<[string, unknown, 'json' | 'bytes', RegExp]>([
    ['undefined', undefined, 'json', /\(undefined\) cannot be published as JSON/],
    ['a function', () => 'secret', 'json', /\(a function\) cannot be published as JSON/],
    ['a BigInt', { n: 1n }, 'json', /\(an object\) cannot be published as JSON/],
    ['a cycle', cycle, 'json', /\(an object\) cannot be published as JSON/],
    ['a number as bytes', 5, 'bytes', /\(a number\) cannot be published as bytes/],
  ])('ends with an error at %s, behind what came before it', async (_, item, codec, message) => {
    const { scope, failures } = rootOf();
    const { messages } = await hearing('codec');
    const source = new Tap<unknown>('"1"', '"2"');
    const publisher = scope.run(() => publishFrom(source as AsyncIterable<string>, poolOf(), 'codec', { codec: codec as 'bytes' }));
    source.put(item);
    const error = await publisher.done.catch((failure: Error) => failure);
    expect(error).toMatchObject({ code: 'ERR_NOT_ENCODABLE', message: expect.stringMatching(message) });
    expect(String(error)).not.toContain('secret');
    expect([publisher.published, source.returned, failures]).toEqual([2, 1, [error]]);
    await until(() => messages.length === 2);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['a text', () => publishFrom('letters', poolOf(), 'a'), /its source must be an async iterable .*that is no text/],
    ['no source', () => publishFrom(undefined as never, poolOf(), 'a'), /its source must be/],
    [
      'another pool',
      () => publishFrom([], { name: 'a', share() {} } as never, 'a'),
      /its pool must be a pool, as defineRedisPool\(\) gives it, in a cluster one of any of its nodes;/,
    ],
    ['no topic', () => publishFrom([], poolOf(), ''), /its topic must be a text/],
    ['maxBuffered', () => publishFrom([], poolOf(), 'a', { maxBuffered: 0 }), /maxBuffered must be an integer from 1; got 0/],
    [
      'overflow',
      () => publishFrom([], poolOf(), 'a', { overflow: 'drop' as 'wait' }),
      /one of "wait", "drop-oldest", "drop-newest", "fail"; got "drop"/,
    ],
    ['codec', () => publishFrom([], poolOf(), 'a', { codec: 'xml' as 'json' }), /codec must be one of "json", "bytes"; got "xml"/],
    ['a misspelt option', () => publishFrom([], poolOf(), 'a', { codecs: 'json' } as PublisherOptions as object), /did you mean "codec"/],
  ])('says at once what is wrong with %s', async (_, publish, message) => {
    await withRoot(async (root) => {
      expect(publish).toThrow(message);
      expect(root.tree().children).toEqual([]);
    });
  });

  it('needs a scope', () => {
    expect(() => publishFrom([], poolOf(), 'a')).toThrow(expect.objectContaining({ code: 'ERR_NO_SCOPE' }));
  });

  it('leaves room for others in a pool of one connection', async () => {
    await withRoot(async () => {
      const pool = poolOf({ max: 1 });
      await using publisher = publishFrom(
        (async function* () {
          for (let number = 0; ; number++) yield number;
        })(),
        pool,
        'busy',
      );
      await until(() => publisher.published > 500);
      for (let round = 0; round < 20; round++) expect(await pool.use((connection) => connection.ping())).toBe('PONG');
    });
    await expectNoLeaks();
  });
});

describe('a publisher whose server is away', () => {
  /** Yields 100 numbers while there is no connection; `yielded` says how many were asked for. */
  async function away(options: Omit<PublisherOptions, 'codec'>, graceMs?: number) {
    const proxy = await proxyTo(redis());
    await proxy.refuse();
    const { scope, lost, failures } = rootOf(graceMs);
    const { messages } = await hearing('away');
    const source = { yielded: 0, ended: false };
    async function* numbers() {
      try {
        for (; source.yielded < 100; ) yield source.yielded++;
      } finally {
        source.ended = true;
      }
    }
    const publisher = scope.run(() => publishFrom(numbers(), poolOf({ url: proxy.url, acquireTimeoutMs: 20 }), 'away', options));
    publisher.done.catch(() => {});
    return { proxy, scope, publisher, source, messages, lost, failures, numbers: () => numbersOf(messages) };
  }

  it('holds its source back, and loses nothing', async () => {
    const { proxy, publisher, source, messages, numbers } = await away({ maxBuffered: 10 });
    await until(() => publisher.buffered === 10);
    await sleep(100);
    expect([publisher.buffered, source.yielded]).toEqual([10, 10]);
    await proxy.accept();
    await publisher.done;
    await until(() => messages.length === 100);
    expect([publisher.published, publisher.dropped, publisher.unsure, numbers()]).toEqual([100, 0, 0, upTo(100)]);
  });

  it.each([
    ['drop-oldest', upTo(100, 90)],
    ['drop-newest', upTo(10)],
  ] as const)('%s drops what is too much, counts it, and tells once of all', async (overflow, left) => {
    const { proxy, publisher, source, messages, lost, numbers } = await away({ maxBuffered: 10, overflow });
    await until(() => source.ended);
    expect([publisher.buffered, publisher.dropped]).toEqual([10, 90]);
    await proxy.accept();
    await publisher.done;
    await until(() => messages.length === 10);
    expect(numbers()).toEqual(left);
    expect(sumOf(publisher)).toBe(100);
    expect(lost()).toMatchObject([{ code: 'ERR_ITEMS_LOST', dropped: 90, unsure: 0 }]);
  });

  it('says with what is lost why it could not be published', async () => {
    const { scope, lost } = rootOf();
    const pool = poolOf({ url: 'redis://127.0.0.1:1', acquireTimeoutMs: 50 });
    async function* numbers() {
      for (let number = 0; ; number++) {
        yield number;
        await sleep(5);
      }
    }
    scope.run(() => publishFrom(numbers(), pool, 'nowhere', { maxBuffered: 1, overflow: 'drop-oldest' })).done.catch(() => {});
    const told = await until(() => lost().find(({ cause }) => cause));
    expect(told).toMatchObject({
      cause: { code: 'ERR_POOL_ACQUIRE_TIMEOUT' },
      message: expect.stringMatching(/sent and not answered \(.*ECONNREFUSED.*\)\./),
    });
    await scope.close({ graceMs: 0 });
  });

  it('fails where nothing may be dropped, behind what it has', async () => {
    const { proxy, publisher, source, messages, failures, numbers } = await away({ maxBuffered: 10, overflow: 'fail' });
    await until(() => source.ended);
    await proxy.accept();
    await expect(publisher.done).rejects.toMatchObject({ code: 'ERR_PUBLISHER_OVERFLOW' });
    await until(() => messages.length === 10);
    expect([source.yielded, publisher.published, numbers()]).toEqual([11, 10, upTo(10)]);
    expect(failures).toMatchObject([{ code: 'ERR_PUBLISHER_OVERFLOW' }]);
  });

  it('tells of losses while it goes on, and of what is left when its scope has waited for graceMs', async () => {
    const { scope, publisher, lost } = await away({ maxBuffered: 99, overflow: 'drop-newest' }, 50);
    await until(() => lost().length === 1);
    expect([publisher.dropped, publisher.buffered]).toEqual([1, 99]);
    await scope.close();
    await expect(publisher.done).rejects.toMatchObject({ name: 'AbortError' });
    expect([publisher.dropped, publisher.buffered]).toEqual([100, 0]);
    expect(lost()).toMatchObject([
      { dropped: 1, unsure: 0 },
      { dropped: 99, unsure: 0 },
    ]);
  });
});

describe('a publisher whose connections break', () => {
  it('publishes nothing twice, keeps the order, and is unsure of no more than it says', async () => {
    const { messages } = await hearing('broken');
    const { scope, lost } = rootOf();
    const pool = poolOf();
    let next = 0;
    let isOver = false;
    async function* numbers() {
      while (!isOver) {
        yield next++;
        if (next % 20 === 0) await turn();
      }
    }
    const publisher = scope.run(() => publishFrom(numbers(), pool, 'broken'));
    for (let round = 1; round <= 10; round++) {
      await until(() => publisher.published > round * 500);
      await redis().observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    }
    isOver = true;
    await publisher.done;
    expect([sumOf(publisher), publisher.dropped]).toEqual([next, 0]);
    await until(() => messages.length >= publisher.published);
    await redis().observer.publish('broken', `${next}`);
    await until(() => numbersOf(messages).at(-1) === next);
    const numbersHeard = numbersOf(messages).slice(0, -1);
    expect(outOfOrder(numbersHeard)).toEqual([]);
    expect(numbersHeard.length).toBeLessThanOrEqual(publisher.published + publisher.unsure);
    expect(lost().reduce((sum, { unsure }) => sum + unsure, 0)).toBe(publisher.unsure);
  });

  it('goes on over a restart: none twice, in order, and what is missing is unsure or in a gap', async () => {
    const server = await openRedis({ fresh: true });
    onTestFinished(() => server.stop());
    const { messages, subscriber, gaps } = await hearing('restarted', server.url);
    const { scope } = rootOf();
    let next = 0;
    let isOver = false;
    async function* numbers() {
      for (; !isOver; await sleep(1)) for (let count = 0; count < 5; count++) yield next++;
    }
    const publisher = scope.run(() => publishFrom(numbers(), poolOf({ url: server.url }), 'restarted', { maxBuffered: 100_000 }));
    await until(() => messages.length > 500);
    await server.server.kill('SIGKILL');
    const before = numbersOf(messages).at(-1) ?? 0;
    await until(() => publisher.buffered > 100);
    await server.server.restart();
    await until(() => subscriber.epoch === 2 && numbersOf(messages).length > 1_500, { timeoutMs: 20_000 });
    isOver = true;
    await publisher.done;
    await until(() => numbersOf(messages).at(-1) === next - 1);
    const heard = numbersOf(messages);
    expect([outOfOrder(heard), gaps.length, sumOf(publisher), publisher.dropped]).toEqual([[], 1, next, 0]);
    // But for the one place where the server was away nothing is missing.
    const holes = heard.slice(1).flatMap((number, index) => (number === (heard[index] ?? 0) + 1 ? [] : [heard[index]]));
    expect(holes.every((hole) => (hole ?? 0) >= before) && holes.length <= 1).toBe(true);
    expect(heard.length).toBeGreaterThanOrEqual(before);
  });

  it('never sends again what is behind: it is dropped, where a later one was published', async () => {
    const reports: unknown[] = [];
    const pool = poolOf();
    const sent: string[] = [];
    const failing = new Map<string, 'rejected' | 'not-sent' | 'unknown'>([
      ['1', 'rejected'],
      ['3', 'unknown'],
      ['5', 'not-sent'],
    ]);
    await withRoot(
      async () => {
        replacePool(pool, {
          publish: async (_: string, message: string) => {
            sent.push(message);
            const outcome = failing.get(message);
            failing.delete(message);
            if (outcome) throw new RedisConnectionError(pool.name, 'publish', outcome, new Error('broken'));
            return 1;
          },
        });
        const publisher = publishFrom(upTo(6), pool, 'fake');
        await publisher.done;
        expect(sent).toEqual(['0', '1', '2', '3', '4', '5', '5']);
        expect([publisher.published, publisher.dropped, publisher.unsure]).toEqual([4, 1, 1]);
      },
      { onSuppressed: (error) => void reports.push(error) },
    );
    expect(reports).toMatchObject([{ code: 'ERR_ITEMS_LOST', dropped: 1, unsure: 1 }]);
  });

  it('sends 256 at a time at the most, and what comes back before what came later', async () => {
    const pool = poolOf();
    const given: number[] = [];
    let [onTheirWay, most, breaks] = [0, 0, 2];
    let isBroken = false;
    await withRoot(async () => {
      replacePool(pool, {
        publish: async (_: string, message: string) => {
          most = Math.max(most, ++onTheirWay);
          // What is sent with it and behind it goes the same way.
          if (message === '300' && breaks-- > 0) isBroken = true;
          const isSent = !isBroken;
          if (isSent) given.push(Number(message));
          await turn();
          onTheirWay--;
          isBroken = false;
          if (!isSent) throw new RedisConnectionError(pool.name, 'publish', 'not-sent', new Error('broken'));
        },
      });
      const publisher = publishFrom(upTo(1_000), pool, 'fake');
      await publisher.done;
      expect([publisher.published, publisher.dropped, publisher.unsure]).toEqual([1_000, 0, 0]);
    });
    expect([given, most]).toEqual([upTo(1_000), 256]);
  });
});

describe('the scope of a publisher', () => {
  it('ends the source first, publishes what it has yielded, and only then closes the pool', async () => {
    const { messages } = await hearing('close');
    const { scope, failures, reports } = rootOf(60_000);
    const source = new Tap(...upTo(50));
    const proxy = await proxyTo(redis());
    await proxy.refuse();
    const pool = poolOf({ url: proxy.url });
    const publisher = scope.run(() => publishFrom(source, pool, 'close'));
    await until(() => publisher.buffered === 50 && source.asked === 51);
    const closed = scope.close();
    await until(() => source.returned === 1);
    expect([scope.state, publisher.published]).toEqual(['draining', 0]);
    await proxy.accept();
    await closed;
    await publisher.done;
    expect([publisher.published, sumOf(publisher), source.returned, source.asked]).toEqual([50, 50, 1, 51]);
    await until(() => messages.length === 50);
    expect([numbersOf(messages), failures, reports]).toEqual([upTo(50), [], []]);
    expect(await redis().clients('sp:publishing')).toEqual([]);
  });

  it('is not held up by a source that never comes back, though it waits for ever for what runs', async () => {
    const { messages } = await hearing('stuck');
    const source = new Tap(1, 2);
    // Nor says that it is ended.
    source.return = () => {
      source.returned++;
      return new Promise(() => {});
    };
    let publisher: Publisher | undefined;
    await withRoot(async () => {
      publisher = publishFrom(source, poolOf(), 'stuck');
      await until(() => source.asked === 3);
    });
    await publisher?.done;
    source.put(3);
    await until(() => messages.length === 2);
    expect([publisher?.published, source.returned]).toEqual([2, 1]);
    await expectNoLeaks({ allow: ['root'] });
  });

  it.each(['close', 'cancel'] as const)('destroys a stream that has nothing to say and so hears of no end: %s', async (how) => {
    const { scope, reports, failures } = rootOf();
    const source = new Readable({ objectMode: true, read: () => {} });
    const publisher = scope.run(() => publishFrom(source, poolOf(), 'idle'));
    source.push(1);
    await until(() => publisher.published === 1);
    if (how === 'cancel') scope.cancel();
    await scope.close().catch(() => {});
    expect([source.destroyed, reports, failures]).toEqual([true, [], []]);
  });

  it('takes what the source was asked for before it was ended', async () => {
    const { messages } = await hearing('last');
    const cleanedUp: string[] = [];
    await withRoot(async () => {
      const asked = { at: 0 };
      publishFrom(
        (async function* () {
          try {
            for (;;) {
              asked.at++;
              await sleep(50);
              yield asked.at;
            }
          } finally {
            await sleep(20);
            cleanedUp.push('cleaned up');
          }
        })(),
        poolOf(),
        'last',
      );
      await until(() => asked.at === 2);
    });
    expect(cleanedUp).toEqual(['cleaned up']);
    await until(() => messages.length === 2);
    expect(numbersOf(messages)).toEqual([1, 2]);
  });

  it('when it is cancelled, sends nothing more, and counts what is left', async () => {
    const proxy = await proxyTo(redis());
    const { scope, reports } = rootOf(60_000);
    const { messages } = await hearing('cancelled');
    const source = new Tap(...upTo(20));
    const publisher = scope.run(() => publishFrom(source, poolOf({ url: proxy.url, commandTimeoutMs: 60_000 }), 'cancelled'));
    await until(() => messages.length === 20 && publisher.published === 20);
    proxy.pause();
    source.put(20, 21);
    await until(() => source.asked === 23);
    await turn();
    source.put(22);
    await until(() => source.asked === 24);
    const reason = new Error('enough');
    scope.cancel(reason);
    await expect(publisher.done).rejects.toBe(reason);
    proxy.resume();
    expect([publisher.published, publisher.dropped + publisher.unsure, source.returned]).toEqual([20, 3, 1]);
    await expect(scope.close()).rejects.toBe(reason);
    // And of nothing else, such as a lease that it held or a task that did not end.
    expect(reports).toMatchObject([{ dropped: publisher.dropped, unsure: publisher.unsure }]);
    expect(publisher.unsure).toBeGreaterThan(0);
  });

  it('fails as with a task when the source throws, behind what came before', async () => {
    const { messages } = await hearing('throws');
    const failure = new Error('of the source');
    let publisher: Publisher | undefined;
    const failed = withRoot(async (root) => {
      publisher = publishFrom(
        (function* () {
          yield* upTo(300);
          throw failure;
        })(),
        poolOf(),
        'throws',
      );
      await new Promise((_, reject) => root.signal.addEventListener('abort', () => reject(root.signal.reason)));
    });
    await expect(failed).rejects.toBe(failure);
    await expect(publisher?.done).rejects.toBe(failure);
    await until(() => messages.length === 300);
    expect([publisher?.published, sumOf(publisher as Publisher)]).toEqual([300, 300]);
  });

  it('goes on where it supervises, and the next publisher publishes', async () => {
    const { scope, failures } = rootOf();
    const failure = new Error('of the source');
    await expect(
      scope.run(() =>
        publishFrom(
          (function* (): Generator<number> {
            yield* [];
            throw failure;
          })(),
          poolOf(),
          'a',
        ),
      ).done,
    ).rejects.toBe(failure);
    const next = scope.run(() => publishFrom([1], poolOf(), 'a'));
    await next.done;
    expect([failures, next.published, scope.state]).toEqual([[failure], 1, 'open']);
  });

  it('keeps nothing of publishers that have ended', async () => {
    const { scope } = rootOf();
    const pool = poolOf();
    const kept: WeakRef<object>[] = [];
    for (let round = 0; round < 100; round++) {
      await scope.run(async () => {
        const publisher = publishFrom(round % 2 ? [round] : new Tap(round), pool, 'gone');
        kept.push(new WeakRef(publisher));
        if (round % 2 === 0) await until(() => publisher.published === 1);
        if (round % 4 === 0) void publisher.close();
        else if (round % 4 === 1) await publisher.done;
        else await publisher.close();
      });
    }
    await until(() => scope.tree().children.length === 0);
    await until(async () => {
      await turn();
      globalThis.gc?.();
      return kept.filter((ref) => ref.deref()).length === 0;
    });
    expect(kept).toHaveLength(100);
  });
});

describe('what the server refuses', () => {
  it('ends the publisher with what it said, and its source', async () => {
    const { scope, failures, lost } = rootOf();
    await redis().observer.call('ACL', 'SETUSER', 'quiet', 'on', '>secret', '+@all', '~*', 'resetchannels', '&allowed');
    onTestFinished(async () => void (await redis().observer.call('ACL', 'DELUSER', 'quiet')));
    const pool = poolOf({ username: 'quiet', password: 'secret' });
    const source = new Tap(1, 2, 3);
    const publisher = scope.run(() => publishFrom(source, pool, 'forbidden'));
    await expect(publisher.done).rejects.toMatchObject({ code: 'ERR_PUBLISHER_REFUSED', message: expect.stringContaining('NOPERM') });
    expect([source.returned, publisher.published, publisher.dropped, publisher.unsure]).toEqual([1, 0, 3, 0]);
    expect(failures).toMatchObject([{ code: 'ERR_PUBLISHER_REFUSED' }]);
    expect(lost()).toMatchObject([{ dropped: 3 }]);
    const allowed = scope.run(() => publishFrom([1], pool, 'allowed'));
    await allowed.done;
    expect(allowed.published).toBe(1);
  });

  it('is told at once of a pool that is let in nowhere', async () => {
    const { scope, failures } = rootOf();
    const publisher = scope.run(() => publishFrom(new Tap(1), poolOf({ password: 'wrong', username: 'nobody' }), 'a'));
    await expect(publisher.done).rejects.toMatchObject({ code: 'ERR_POOL_UNAVAILABLE' });
    expect([publisher.dropped, failures.length]).toEqual([1, 1]);
  });
});
