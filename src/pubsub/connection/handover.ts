import { randomUUID } from 'node:crypto';
import { nextTurn, now, wallTime, within } from '../../clock.ts';
import type { Line } from './line.ts';

/** How long the old line may be silent, at the least, before it counts as empty, in milliseconds. */
const SILENT_MS = 50;
/** How long the new line may take to answer, in milliseconds. */
const ANSWER_MS = 1_000;
/** By how much a node of a cluster may hear of a message later than another, in milliseconds: as long as TCP waits before it sends again, and some. */
const SKEW_MS = 250;

/** What came of it. */
export interface HandedOver {
  /** Nothing was lost, none came twice. */
  readonly isSeamless: boolean;
  /** By the time of day: what was published from then on comes over the new line, unless it breaks. */
  readonly since: number;
}

/** Publishes a mark on the private channel, on the server that both lines lead to. */
export type PublishMark = (mark: string) => Promise<unknown>;

/**
 * Has the new line begin where the old one ends. A mark is published that both hear: the old line gives what comes
 * before it, the new one what comes after it. Where the old line does not come to the mark, it ends here. Where there
 * can be no mark, the new line begins behind its next answer instead, so that nothing comes twice.
 *
 * @throws when the new line is of no use.
 */
export async function handOver<M>(old: Line<M>, next: Line<M>, publish: PublishMark): Promise<HandedOver> {
  if (!old.ended && old.isMarkable && next.isMarkable && old.server === next.server) {
    const met = await new Meeting(old, next).hold(publish);
    if (met) return met;
  }
  old.stop();
  if (mayRepeat(old, next)) await within(next.end, SKEW_MS);
  await answer(next, next.ping());
  next.forget();
  return { isSeamless: false, since: wallTime() };
}

/** Whether the new line may bring what the old one has brought, though it was made later: each node hears of it by itself. */
export function mayRepeat<M>(old: Line<M>, next: Line<M>): boolean {
  return next.isCluster && old.server !== next.server;
}

/** @throws unless the line answers. */
async function answer(line: Pick<Line<unknown>, 'end' | 'ended'>, answered: Promise<unknown>): Promise<void> {
  const late = await within(Promise.race([answered, line.end]), ANSWER_MS);
  if (line.ended) throw line.ended;
  if (late === 'late') throw new Error(`no answer within ${ANSWER_MS} ms`);
}

/** Of two lines at a mark. */
class Meeting<M> {
  readonly #mark = randomUUID();
  readonly #old: Line<M>;
  readonly #next: Line<M>;
  readonly #oldArrived: Promise<void>;
  readonly #nextArrived: Promise<void>;
  #isOldThere = false;
  #nextSince: number | undefined;

  constructor(old: Line<M>, next: Line<M>) {
    this.#old = old;
    this.#next = next;
    // No await in what happens at the mark: the message behind it may stand in the same packet.
    this.#oldArrived = this.#arrival(old, () => {
      this.#isOldThere = true;
      old.stop();
    });
    this.#nextArrived = this.#arrival(next, () => {
      this.#nextSince = wallTime();
      next.forget();
    });
  }

  /** @returns nothing when there can be no mark. */
  async hold(publish: PublishMark): Promise<HandedOver | undefined> {
    const since = wallTime();
    const begun = now();
    try {
      const published = publish(this.#mark).then(
        () => true,
        () => false,
      );
      // What the new line brings waits for it meanwhile.
      const isPublished = await within(published, Math.max(ANSWER_MS, 2 * this.#next.tookMs));
      const isFailed = isPublished === 'late' || !isPublished.value;
      // Only the answer may have been lost.
      if (isFailed && this.#nextSince === undefined) return undefined;
      await answer(this.#next, this.#nextArrived);
      // As long as the mark took to come to the new line, at the least.
      await this.#waitForOld(Math.min(Math.max(SILENT_MS, now() - begun), ANSWER_MS));
      this.#old.stop();
      return this.#isOldThere && !this.#old.moved
        ? { isSeamless: true, since }
        : { isSeamless: false, since: this.#nextSince ?? wallTime() };
    } finally {
      this.#old.offMark(this.#mark);
      this.#next.offMark(this.#mark);
    }
  }

  /** Waits until the old line is there, has ended, or has been silent for so long. */
  async #waitForOld(silentMs: number): Promise<void> {
    const old = this.#old;
    for (const begun = now(); !this.#isOldThere && !old.ended; ) {
      const leftMs = Math.max(begun, old.heardAt) + silentMs - now();
      if (leftMs <= 0) return;
      await within(Promise.race([this.#oldArrived, old.end]), leftMs);
      // What has arrived already is to be read first.
      await nextTurn();
    }
  }

  #arrival(line: Line<M>, onArrival: () => void): Promise<void> {
    return new Promise((resolve) => {
      line.onMark(this.#mark, () => {
        onArrival();
        resolve();
      });
    });
  }
}
