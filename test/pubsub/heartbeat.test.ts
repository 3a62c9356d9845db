import { describe, expect, it } from 'vitest';
import { Random } from '../../dev/random.ts';
import { type Beat, type BeatAction, firstBeat, type HeartbeatRules, onAnswer, onTick } from '../../src/pubsub/connection/heartbeat.ts';

const ALWAYS: HeartbeatRules = { pingMs: 1_000, pongMs: 200, always: true };
const IDLE: HeartbeatRules = { ...ALWAYS, always: false };

const quiet = (dueAt: number): Beat => ({ askedAt: undefined, dueAt, isSpared: false });
const asked = (askedAt: number, dueAt = askedAt + 200, isSpared = false): Beat => ({ askedAt, dueAt, isSpared });

/** What stands: the rules, what is known, when anything came last, now; and what is to be done, and when to look again. */
const TICKS: readonly (readonly [string, HeartbeatRules, Beat, number, number, BeatAction, number])[] = [
  ['waits before it is due', ALWAYS, quiet(1_000), 0, 999, 'wait', 1_000],
  ['asks when it is due', ALWAYS, quiet(1_000), 0, 1_000, 'ping', 1_200],
  ['asks also while messages come', ALWAYS, quiet(1_000), 999, 1_000, 'ping', 1_200],
  ['asks not while messages come, when told so', IDLE, quiet(1_000), 999, 1_000, 'wait', 1_999],
  ['asks after silence', IDLE, quiet(1_000), 0, 1_000, 'ping', 1_200],
  ['waits for the answer', ALWAYS, asked(1_000), 0, 1_199, 'wait', 1_200],
  ['is over when no answer came', ALWAYS, asked(1_000), 0, 1_200, 'dead', 1_200],
  ['is not over while messages come', ALWAYS, asked(1_000), 1_100, 1_200, 'wait', 1_300],
  ['is over when they stop coming', ALWAYS, asked(1_000, 1_300), 1_100, 1_300, 'dead', 1_300],
  ['forgives once that it looks late', ALWAYS, asked(1_000), 0, 1_301, 'wait', 1_501],
  ['forgives no small delay', ALWAYS, asked(1_000), 0, 1_300, 'dead', 1_200],
  ['forgives not twice', ALWAYS, asked(1_000, 1_501, true), 0, 1_900, 'dead', 1_501],
];

describe('onTick', () => {
  it.each(TICKS)('%s', (_, rules, beat, heardAt, now, action, dueAt) => {
    const [next, done] = onTick(beat, heardAt, now, rules);
    expect([done, next.dueAt]).toEqual([action, dueAt]);
  });
});

describe('onAnswer', () => {
  it('counts from the question where it asks always, so that no more than pingMs are ever unproven', () => {
    expect(onAnswer(asked(1_000), 1_150, ALWAYS)).toEqual(quiet(2_000));
  });

  it('counts from the answer where it asks after silence', () => {
    expect(onAnswer(asked(1_000), 1_150, IDLE)).toEqual(quiet(2_150));
  });
});

/**
 * A connection over which everything takes 50 ms and back, in a process whose event loop is blocked again and again:
 * the loop runs timers first, then reads.
 */
class BlockedLoop {
  now = 0;
  pings = 0;
  deaths = 0;
  readonly #random: Random;
  readonly #rules: HeartbeatRules;
  readonly #rttMs: number;
  #nextBlockAt = 0;
  #beat: Beat;
  #heardAt = 0;
  #answerAt = Number.POSITIVE_INFINITY;

  constructor(seed: number, rules: HeartbeatRules, rttMs: number) {
    this.#random = new Random(seed);
    this.#rules = rules;
    this.#rttMs = rttMs;
    this.#beat = firstBeat(0, rules);
  }

  /** One turn of the loop. @param isBlocked Whether something else runs in it, and for how long. */
  turn(): void {
    this.now = Math.max(this.now, Math.min(this.#beat.dueAt, this.#answerAt, this.#nextBlockAt));
    const isBlocked = this.now >= this.#nextBlockAt;
    if (isBlocked) this.#block();
    if (this.now >= this.#beat.dueAt) this.#tick(false);
    this.#read();
  }

  #block(): void {
    this.now += this.#random.between(150, 550);
    this.#nextBlockAt = this.now + this.#random.between(0, 600);
  }

  #tick(isSure: boolean): void {
    const [beat, action] = onTick(this.#beat, this.#heardAt, this.now, this.#rules);
    if (action === 'dead') {
      // As Pulse does: what has arrived is read before.
      if (!isSure) {
        this.#read();
        return this.#tick(true);
      }
      this.deaths++;
      this.#beat = firstBeat(this.now, this.#rules);
      return;
    }
    this.#beat = beat;
    if (action !== 'ping') return;
    this.pings++;
    this.#answerAt = this.now + this.#rttMs;
  }

  #read(): void {
    if (this.now < this.#answerAt) return;
    this.#answerAt = Number.POSITIVE_INFINITY;
    this.#heardAt = this.now;
    this.#beat = onAnswer(this.#beat, this.now, this.#rules);
  }
}

describe('a blocked event loop', () => {
  it('raises no false alarm in 10,000 pings, at 50 ms there and back and 100 ms for the answer', () => {
    const loop = new BlockedLoop(7, { pingMs: 500, pongMs: 100, always: true }, 50);
    while (loop.pings < 10_000) loop.turn();
    expect(loop.deaths).toBe(0);
  });

  it('does not hide that nothing answers', () => {
    const loop = new BlockedLoop(7, { pingMs: 500, pongMs: 100, always: true }, Number.POSITIVE_INFINITY);
    while (loop.pings < 100) loop.turn();
    expect(loop.deaths).toBeGreaterThanOrEqual(99);
  });
});
