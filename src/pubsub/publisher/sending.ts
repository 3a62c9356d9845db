import { type Outcome, PoolUnavailableError, RetryLaterError } from '../../errors.ts';
import type { RedisPool } from '../../redis/api.ts';
import { outcomeOf } from '../../redis/outcome.ts';
import { Bell } from '../bell.ts';
import type { Payload } from '../codec.ts';

/** What became of a message: `refused` is what the server, or the pool, would say again. */
type Fate = Outcome | 'published' | 'refused';

/** What became of some messages. */
export interface Sent {
  readonly published: number;
  /** Sent, and not answered. */
  readonly unsure: number;
  /** Surely not published, and too late for it: a later one was, or may have been. */
  readonly missed: number;
  /** Surely not published; they may still be, in order. */
  readonly again: readonly Payload[];
  /** Why not all were published. */
  readonly error: unknown;
  /** Whether to try again is of no use. */
  readonly isFinal: boolean;
}

/** What is sent, and on what channel. */
export interface Sending {
  readonly pool: RedisPool;
  readonly topic: string;
  /** Called when there is a connection: until then nothing is on its way. */
  take(): readonly Payload[];
}

/** Publishes messages in order, all on one connection, and waits for the answers or the signal. */
export async function send({ pool, topic, take }: Sending, signal: AbortSignal): Promise<Sent> {
  let payloads: readonly Payload[] = [];
  const fates: Fate[] = [];
  let error: unknown;
  let isFinal = false;
  try {
    await pool.share((connection) => {
      payloads = take();
      // No await between them: the order is that of the connection.
      const answers = payloads.map(async (payload, place) => {
        fates[place] = 'not-sent';
        try {
          const answer = connection.publish(topic, payload);
          fates[place] = 'unknown';
          await answer;
          fates[place] = 'published';
        } catch (failure) {
          fates[place] = outcomeOf(failure) ?? 'refused';
          error = failure;
        }
      });
      // Others share the connection, so nobody need wait on it for what is answered later.
      return new Bell().orHeard(Promise.all(answers), signal);
    });
  } catch (failure) {
    error = failure;
    isFinal = !isPassing(failure);
  }
  return sum(payloads, fates, error, isFinal);
}

/** Of an acquire that has failed. */
function isPassing(error: unknown): boolean {
  return error instanceof RetryLaterError && !(error instanceof PoolUnavailableError);
}

function sum(payloads: readonly Payload[], fates: readonly Fate[], error: unknown, isFinal: boolean): Sent {
  const count = (fate: Fate) => fates.filter((one) => one === fate).length;
  const [published, unsure] = [count('published'), count('unknown')];
  const gone = fates.findLastIndex((fate) => fate === 'published' || fate === 'unknown') + 1;
  return {
    published,
    unsure,
    missed: gone - published - unsure,
    again: payloads.slice(gone),
    error,
    isFinal: isFinal || fates.includes('refused'),
  };
}
