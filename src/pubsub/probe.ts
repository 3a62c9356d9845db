import { randomUUID } from 'node:crypto';
import { afterIdly, cancel, type Timer, wallTime } from '../clock.ts';
import type { Markable } from './marks.ts';
import type { DeliveryProbe } from './options.ts';

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
  /** By the time of day: nothing that was published before is lost. */
  provenAt: number;

  constructor(line: Markable, config: ProbeConfig) {
    this.#line = line;
    this.#config = config;
    this.provenAt = config.provenAt;
    this.#plan();
  }

  stop(): void {
    cancel(this.#timer);
    this.#forget();
  }

  #plan(): void {
    this.#timer = afterIdly(this.#config.everyMs, () => this.#look());
  }

  #look(): void {
    if (this.#mark !== undefined) this.#missed++;
    this.#forget();
    if (this.#missed >= MOST_MISSED) return this.#config.onStarving(this.#missed);
    this.#plan();
    void this.#send(randomUUID());
  }

  async #send(mark: string): Promise<void> {
    const sentAt = wallTime();
    this.#line.onMark(mark, () => {
      this.#line.offMark(mark);
      if (this.#mark === mark) this.#mark = undefined;
      this.#missed = 0;
      if (!this.#line.isStopped) this.provenAt = Math.max(this.provenAt, sentAt);
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
