import { afterIdly, cancel, nextTurn, now, type Timer } from '../../clock.ts';
import { type Beat, firstBeat, type HeartbeatRules, onAnswer, onTick } from './heartbeat.ts';
import { Instant } from './instant.ts';
import type { Line } from './line.ts';

/** What a pulse is taken of, and told. */
export interface Patient {
  readonly line: Pick<Line<unknown>, 'heardAt' | 'isStopped' | 'isBelieved' | 'ping'>;
  onPing(rttMs: number): void;
  onSilence(silentMs: number): void;
}

/** Asks a connection, again and again, whether it lives, and says so when it does not. */
export class Pulse {
  readonly #patient: Patient;
  readonly #rules: HeartbeatRules;
  #beat: Beat;
  #timer: Timer | undefined;
  #isOver = false;
  #proven: Instant;

  /** @param provenAt When the connection began to bring everything. */
  constructor(patient: Patient, rules: HeartbeatRules, provenAt: number) {
    this.#patient = patient;
    this.#rules = rules;
    this.#proven = new Instant(provenAt);
    this.#beat = firstBeat(now(), rules);
    this.#plan();
  }

  /** By the time of day: nothing that was published before is lost, if the connection breaks. */
  get provenAt(): number {
    return this.#proven.wallAt;
  }

  stop(): void {
    this.#isOver = true;
    cancel(this.#timer);
  }

  #plan(): void {
    if (this.#isOver) return;
    cancel(this.#timer);
    this.#timer = afterIdly(this.#beat.dueAt - now(), () => this.#tick());
  }

  /** @param isSure What has arrived already has been read. */
  #tick(isSure = false): void {
    if (this.#isOver) return;
    const [beat, action] = onTick(this.#beat, this.#patient.line.heardAt, now(), this.#rules);
    if (action === 'dead') {
      if (!isSure) return void nextTurn().then(() => this.#tick(true));
      this.stop();
      return this.#patient.onSilence(now() - Math.max(beat.askedAt ?? 0, this.#patient.line.heardAt));
    }
    this.#beat = beat;
    if (action === 'ping') this.#ping();
    this.#plan();
  }

  #ping(): void {
    const askedAt = now();
    const asked = new Instant();
    // That it breaks is told otherwise.
    this.#patient.line.ping().then(
      () => {
        if (this.#isOver) return;
        this.#beat = onAnswer(this.#beat, now(), this.#rules);
        this.#plan();
        void this.#prove(asked);
        this.#patient.onPing(now() - askedAt);
      },
      () => {},
    );
  }

  async #prove(asked: Instant): Promise<void> {
    const { line } = this.#patient;
    const { isBelieved } = line;
    // Where nobody is to be asked it is proved at once: what breaks the connection may stand behind the answer.
    if (isBelieved && !(await isBelieved())) return;
    // What came before the answer may have been thrown away.
    if (!this.#isOver && !line.isStopped) this.#proven = asked;
  }
}
