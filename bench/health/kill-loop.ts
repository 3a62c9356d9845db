import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import type { Contender, Incr } from './contenders.ts';
import { HandOuts, type Kill, type Tally } from './hand-outs.ts';

const KILL_EVERY_MS = 10;
/** A loop that is busy does something else for so long in a quarter of its rounds, in milliseconds. */
const SPIN_MS = 5;

/** How busy the event loop is: not at all, between two commands, or with a reply, while the connection is held. */
export type Loop = 'free' | 'busy' | 'busy, holding';

/** What came out of a kill loop. */
export interface Outcome extends Tally {
  readonly kills: number;
  readonly results: number;
  /** Errors after which the command may have been executed. */
  readonly unknown: number;
  /** Errors that say that it was not. */
  readonly failed: number;
  /** Replies that cannot be, results that are not there, and commands executed though nobody has said so. */
  readonly wrong: number;
}

/** Sends commands for some time, while another process kills connections. @param redis Talks to the same server. */
export async function killLoop(contender: Contender, loop: Loop, redis: Redis, url: string, ms: number): Promise<Outcome> {
  await redis.flushall();
  const handOuts = new HandOuts();
  const users = Array.from({ length: contender.users }, (_, n) => new User(`user:${n}`));
  let kills: readonly Kill[] = [];
  await contender.run(url, handOuts, async (incr) => {
    kills = await whileKilling(Number(new URL(url).port), async () => {
      const end = performance.now() + ms;
      await Promise.all(users.map((user) => user.work(incr, loop, end)));
    });
  });
  const wrong = await Promise.all(users.map((user) => user.audit(redis)));
  const sum = (of: (user: User) => number) => users.reduce((total, user) => total + of(user), 0);
  return {
    ...handOuts.tally(kills),
    kills: kills.length,
    results: sum(({ results }) => results),
    unknown: sum(({ unknown }) => unknown),
    failed: sum(({ failed }) => failed),
    wrong: wrong.reduce((total, count) => total + count, 0),
  };
}

async function whileKilling(port: number, work: () => Promise<void>): Promise<readonly Kill[]> {
  const killer = fork(fileURLToPath(new URL('./killer.js', import.meta.url)), [`${port}`, `${KILL_EVERY_MS}`], { execArgv: [] });
  await once(killer, 'message');
  await work();
  const told = once(killer, 'message');
  killer.send('stop');
  const [kills] = (await told) as [readonly Kill[]];
  if (killer.exitCode === null) await once(killer, 'exit');
  return kills;
}

/** Counts at a key of its own, and remembers what it was told. */
class User {
  results = 0;
  unknown = 0;
  failed = 0;
  readonly #key: string;
  #last = 0;
  #impossible = 0;

  constructor(key: string) {
    this.#key = key;
  }

  async work(incr: Incr, loop: Loop, end: number): Promise<void> {
    while (performance.now() < end) {
      await this.#send(incr, loop === 'busy, holding' ? spinSometimes : () => {});
      if (loop === 'busy') spinSometimes();
    }
  }

  async #send(incr: Incr, meanwhile: () => void): Promise<void> {
    try {
      const reply = await incr(this.#key, meanwhile);
      if (!(reply > this.#last)) this.#impossible++;
      this.#last = reply;
      this.results++;
    } catch (error) {
      const { outcome } = error as { readonly outcome?: string };
      if (outcome === undefined || outcome === 'unknown') this.unknown++;
      else this.failed++;
    }
  }

  /** How much of what it was told is wrong. */
  async audit(redis: Redis): Promise<number> {
    const counted = Number(await redis.get(this.#key));
    return this.#impossible + Math.max(0, this.results - counted, counted - this.results - this.unknown);
  }
}

function spinSometimes(): void {
  if (Math.random() >= 0.25) return;
  const end = performance.now() + SPIN_MS;
  while (performance.now() < end);
}
