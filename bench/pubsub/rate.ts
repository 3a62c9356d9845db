import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type Member, type Outcome, type Turns, takeTurns } from '../crew.ts';
import { Crew } from './crew.ts';
import type { Subject } from './subjects.ts';

const PROCESSES = 2;
const CONNECTIONS = 25;
const BYTES = 200;
/** Messages are published so many at a time. */
const BATCH = 500;
/** So many batches may be on their way: the next is published when the slowest connection has come so far. */
const WINDOW = 4;
/** Where nothing passes for so long, something is lost. */
const STALLED_MS = 10_000;

/** By the server itself, so that the publisher takes next to nothing of a machine that has few cores. */
const PUBLISH = `for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call('PUBLISH', KEYS[1], n .. ARGV[3]) end`;
const PADDING = ` ${'x'.repeat(BYTES - 10)}`;

/** What a round took. */
export interface Cost {
  /** Published, and delivered over all connections. */
  readonly messagesPerSecond: number;
  /** Processor time of the subscribers. */
  readonly cpuUsPerDelivery: number;
}

/** Who is measured, and how. */
export interface Case extends Turns {
  readonly subjects: readonly Subject[];
}

/**
 * The highest rate at which all is delivered: no batch is published before the last but three has come over every
 * connection, so that none falls behind, and none waits for anything else.
 */
export function measure(redis: Redis, url: string, { subjects, ...turns }: Case): Promise<Outcome<Cost>> {
  const start = () => Promise.all(subjects.map((subject) => SubscriberProcesses.start(subject, redis, url)));
  return takeTurns(start, turns);
}

let channels = 0;

class SubscriberProcesses implements Member<Cost> {
  readonly name: string;
  readonly #crew: Crew;
  readonly #redis: Redis;
  readonly #channel: string;
  #published = 0;

  private constructor(name: string, crew: Crew, redis: Redis, channel: string) {
    this.name = name;
    this.#crew = crew;
    this.#redis = redis;
    this.#channel = channel;
  }

  static async start(subject: Subject, redis: Redis, url: string): Promise<SubscriberProcesses> {
    const channel = `rate:${++channels}`;
    const crew = await Crew.start(PROCESSES, { subject, url, channel, connections: CONNECTIONS, batch: BATCH });
    return new SubscriberProcesses(subject.name, crew, redis, channel);
  }

  /** @throws Error when a message does not come, or comes twice. */
  async work(messages: number): Promise<Cost> {
    const before = await this.#crew.account(this.#published);
    const begun = performance.now();
    await this.#publish(messages / BATCH);
    const ms = performance.now() - begun;
    const { cpuUs, delivered, strays, gaps } = await this.#crew.account(this.#published);
    const { connections } = this.#crew;
    const wrong = { missing: this.#published * connections - delivered, strays, gaps };
    if (Object.values(wrong).some((count) => count !== 0)) throw new Error(`${this.name}: ${JSON.stringify(wrong)}`);
    return { messagesPerSecond: (messages * 1_000) / ms, cpuUsPerDelivery: (cpuUs - before.cpuUs) / messages / connections };
  }

  end(): Promise<void> {
    return this.#crew.end();
  }

  async #publish(batches: number): Promise<void> {
    const slowest = new Slowest(this.#crew, this.#published);
    try {
      for (let batch = 0; batch < batches; batch++) {
        const first = this.#published + 1;
        this.#published += BATCH;
        await this.#redis.eval(PUBLISH, 1, this.#channel, first, this.#published, PADDING);
        await slowest.reaches(this.#published - (WINDOW - 1) * BATCH);
      }
      await slowest.reaches(this.#published);
    } finally {
      slowest.stop();
    }
  }
}

/** Knows up to which number all has come to every process. */
class Slowest {
  readonly #passed = new Map<ChildProcess, number>();
  readonly #begun: number;
  readonly stop: () => void;
  #wake = () => {};

  constructor(crew: Crew, begun: number) {
    this.#begun = begun;
    this.stop = crew.onPassed((child, number) => {
      this.#passed.set(child, number);
      this.#wake();
    });
  }

  /** @throws Error when nothing passes for too long. */
  async reaches(number: number): Promise<void> {
    while (this.#number < number) {
      const over = new AbortController();
      const passing = new Promise<boolean>((resolve) => {
        this.#wake = () => resolve(true);
      });
      const stalled = sleep(STALLED_MS, false, { signal: over.signal }).catch(() => false);
      const isPassing = await Promise.race([passing, stalled]);
      over.abort();
      if (!isPassing) throw new Error(`of the messages up to ${number} some have not come within ${STALLED_MS} ms`);
    }
  }

  get #number(): number {
    return this.#passed.size < PROCESSES ? this.#begun : Math.min(...this.#passed.values());
  }
}
