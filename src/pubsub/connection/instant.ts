import { now, wallTime } from '../../clock.ts';

/** An instant that is over, by the time of day. */
export class Instant {
  readonly #wall: number;
  readonly #at = now();

  constructor(wall = wallTime()) {
    this.#wall = wall;
  }

  /** Not later than it was, by the clock as it is set now: that may have been put back since, and goes on while the machine sleeps. */
  get wallAt(): number {
    return Math.min(this.#wall, Math.floor(wallTime() - (now() - this.#at)));
  }
}
