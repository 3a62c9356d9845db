import { randomUUID } from 'node:crypto';
import { afterIdly, cancel, nextTurn, type Timer } from '../../clock.ts';
import type { DeliveryProbe } from '../options.ts';
import { Instant } from './instant.ts';
import type { Markable } from './marks.ts';

/** So many in a row that do not come say that the line starves: one may be late. */
const MOST_MISSED = 2;

/** What a probe is made of, and told. */
export interface ProbeConfig {
  readonly channel: string;
  readonly publish: DeliveryProbe['publish'];
  readonly everyMs: number;
  /** When the line began to bring everything. */
  readonly provenAt: number;
  onStarving(missed: number): void;
}

/** Publishes, again and again, by the way of the publishers, and says so when a line does not hear of it. */
export class Probe {
  readonly #line: Markable;
  readonly #config: ProbeConfig;
  /** What was published and has not come. */
  #mark: string | undefined;
  #missed = 0;
  #timer: Timer | undefined;
  #isOver = false;
  #proven: Instant;

  constructor(line: Markable, config: ProbeConfig) {
    this.#line = line;
    this.#config = config;
    this.#proven = new Instant(config.provenAt);
    this.#plan();
  }

  /** By the time of day: nothing that was published before is lost. */
  get provenAt(): number {
    return this.#proven.wallAt;
  }

  stop(): void {
    this.#isOver = true;
    cancel(this.#timer);
    this.#forget();
  }

  #plan(): void {
    if (this.#isOver) return;
    this.#timer = afterIdly(this.#config.everyMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    // What has arrived already is to be read first.
    await nextTurn();
    if (this.#isOver) return;
    if (this.#mark !== undefined) this.#missed++;
    this.#forget();
    if (this.#missed >= MOST_MISSED) return this.#config.onStarving(this.#missed);
    await this.#send(randomUUID());
    // Not before: of what may not be published yet nobody can say that it does not come.
    this.#plan();
  }

  async #send(mark: string): Promise<void> {
    const sent = new Instant();
    this.#line.onMark(mark, () => {
      this.#line.offMark(mark);
      if (this.#mark === mark) this.#mark = undefined;
      this.#missed = 0;
      if (!this.#line.isStopped) this.#proven = sent;
    });
    this.#mark = mark;
    try {
      await this.#config.publish(this.#config.channel, mark);
    } catch {
      // That nobody can publish says nothing of the line.
      if (this.#mark === mark) this.#forget();
    }
  }

  #forget(): void {
    if (this.#mark !== undefined) this.#line.offMark(this.#mark);
    this.#mark = undefined;
  }
}
