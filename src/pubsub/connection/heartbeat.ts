import { PING_MS, PONG_MS, type SubscriberOptions } from '../options.ts';

/** When a connection is asked whether it lives, and when it counts as dead; all in milliseconds. */
export interface HeartbeatRules {
  readonly pingMs: number;
  readonly pongMs: number;
  /** Also while messages come: only an answer proves that nothing was lost before. */
  readonly always: boolean;
}

/** The rules of the heartbeat, with the defaults. */
export function heartbeatOf({ pingMs = PING_MS, pongMs = Math.min(PONG_MS, pingMs), heartbeat }: SubscriberOptions): HeartbeatRules {
  return { pingMs, pongMs, always: heartbeat !== 'idle' };
}

/** What is known of a connection, by a clock that never goes back. */
export interface Beat {
  /** When the PING was sent that has not been answered. */
  readonly askedAt: number | undefined;
  /** When it is to be looked at again. */
  readonly dueAt: number;
  /** It was late once, with us to blame. */
  readonly isSpared: boolean;
}

export type BeatAction = 'wait' | 'ping' | 'dead';

/** It has just been proved alive. */
export function firstBeat(now: number, { pingMs }: HeartbeatRules): Beat {
  return { askedAt: undefined, dueAt: now + pingMs, isSpared: false };
}

/** The PING was answered. */
export function onAnswer({ askedAt }: Beat, now: number, { pingMs, always }: HeartbeatRules): Beat {
  return { askedAt: undefined, dueAt: (always && askedAt ? askedAt : now) + pingMs, isSpared: false };
}

/**
 * Says what to do, at `dueAt` or later.
 *
 *     quiet ── pingMs ──▶ asked ── pongMs in which nothing comes ──▶ dead
 *       ▲                   │
 *       └───── answer ──────┘
 *
 * Whoever looks late by half of `pongMs` was blocked or frozen, and so may what came have been: once that is forgiven.
 * What comes without being the answer, as messages do, keeps it alive, too.
 *
 * @param heardAt When anything came last.
 */
export function onTick(beat: Beat, heardAt: number, now: number, { pingMs, pongMs, always }: HeartbeatRules): [Beat, BeatAction] {
  const { askedAt, dueAt, isSpared } = beat;
  if (now < dueAt) return [beat, 'wait'];
  if (askedAt === undefined) {
    if (!always && heardAt + pingMs > now) return [{ ...beat, dueAt: heardAt + pingMs }, 'wait'];
    return [{ askedAt: now, dueAt: now + pongMs, isSpared: false }, 'ping'];
  }
  const silentAt = Math.max(askedAt, heardAt) + pongMs;
  if (silentAt > now) return [{ askedAt, dueAt: silentAt, isSpared: false }, 'wait'];
  if (now - dueAt > pongMs / 2 && !isSpared) return [{ askedAt, dueAt: now + pongMs, isSpared: true }, 'wait'];
  return [beat, 'dead'];
}
