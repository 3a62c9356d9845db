import { CHANNELS, publish } from '../channels.ts';
import { now } from '../clock.ts';
import type { Engine } from './engine.ts';
import { goingOf } from './slot.ts';

/** How a pool is, as far as it knows. */
export interface PoolHealth {
  /**
   * `up`: connections are open, and nothing has failed since the last was made. `degraded`: some are open, more cannot be
   * made. `down`: none is open, and the last attempt failed, or took longer than somebody could wait. `unknown`: none is
   * open, and nothing has failed yet.
   */
  readonly state: 'up' | 'degraded' | 'down' | 'unknown';
  /** Connections that are open, idle or held, and not about to close. */
  readonly open: number;
  /** How long it has been down, in milliseconds; 0 while it is not. */
  readonly downMs: number;
  /** How often making a connection has failed in a row; attempts of one step of the backoff count as one. */
  readonly failures: number;
  /** How long until the next attempt may begin, in milliseconds. */
  readonly retryInMs: number;
  /** Why the last attempt failed; nothing once one has succeeded. */
  readonly error: unknown;
}

/** What a pool is that nobody has used yet in this root scope. */
export const UNUSED: PoolHealth = { state: 'unknown', open: 0, downMs: 0, failures: 0, retryInMs: 0, error: undefined };

export function healthOf<T>({ scheduler: { slots }, supply: { attempts, vigil } }: Engine<T>): PoolHealth {
  const open = slots.size - goingOf(slots);
  const { failures, waitMs: retryInMs } = attempts;
  const state = open > 0 ? (failures > 0 ? 'degraded' : 'up') : vigil.isDown ? 'down' : 'unknown';
  return { state, open, downMs: vigil.downMs, failures, retryInMs, error: attempts.lastError ?? vigil.error };
}

/** Tells when a pool goes down and when it comes up again: once each. */
export class Vigil {
  /** Why it went down. */
  error: unknown = undefined;
  readonly #pool: string;
  readonly #scope: string;
  #downSince: number | undefined;

  constructor(pool: string, scope: string) {
    this.#pool = pool;
    this.#scope = scope;
  }

  get isDown(): boolean {
    return this.#downSince !== undefined;
  }

  get downMs(): number {
    return this.#downSince === undefined ? 0 : now() - this.#downSince;
  }

  down(error: unknown): void {
    if (this.isDown) return;
    this.#downSince = now();
    this.error = error;
    publish(CHANNELS.poolDown, () => ({ pool: this.#pool, scope: this.#scope, error }));
  }

  up(): void {
    if (!this.isDown) return;
    const { downMs } = this;
    this.#downSince = this.error = undefined;
    publish(CHANNELS.poolUp, () => ({ pool: this.#pool, scope: this.#scope, downMs }));
  }
}
