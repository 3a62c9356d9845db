import type { Progress } from './experiment.ts';
import type { Figures } from './judge.ts';
import type { Phase } from './phases.ts';
import { status } from './status.ts';

const EVERY_MS = 1_000;

/** Shows a phase line by line, for files, pipes and logs. */
export class PlainScreen {
  readonly #stream: NodeJS.WritableStream;
  #limit: number | null = null;
  #nextMs = 0;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  begin({ name, does, limit, workers }: Phase, number: string): void {
    this.#limit = limit === undefined ? null : limit * workers;
    this.#nextMs = EVERY_MS;
    this.say('', `${number} ${name}`, `    ${does}`);
  }

  progress({ samples, jobs, jobsPerSecond, elapsedMs }: Progress): void {
    if (elapsedMs < this.#nextMs) return;
    this.#nextMs += EVERY_MS;
    const opened = samples.at(-1)?.opened ?? 0;
    this.say(`    ${(elapsedMs / 1_000).toFixed(0).padStart(2)} s  ${status({ opened, limit: this.#limit, jobs, jobsPerSecond })}`);
  }

  end(figures: Figures): void {
    this.say(`     end  ${status(figures)} ${figures.verdict}`);
  }

  say(...lines: readonly string[]): void {
    this.#stream.write(lines.map((line) => `${line.trimEnd()}\n`).join(''));
  }

  close(): void {}
}
