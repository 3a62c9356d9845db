import { setTimeout as sleep } from 'node:timers/promises';
import { Crew } from './crew.ts';
import { type Figures, type Sample, type Trouble, verdictOf } from './judge.ts';
import type { Latencies } from './latencies.ts';
import type { Meter, Reading } from './meter.ts';
import type { Phase } from './phases.ts';
import { StartingLine } from './starting-line.ts';

const SAMPLE_MS = 50;
const START_MS = 10_000;
const LEAVE_MS = 2_000;

/** What a phase runs on. */
export interface Laboratory {
  readonly url: string;
  readonly meter: Meter;
  readonly latencies: Latencies;
  readonly seconds: number;
  /** Ends the phase early. */
  readonly interrupted: AbortSignal;
  /** Told what has happened so far, many times a second. */
  onProgress(progress: Progress): void;
}

/** A phase under way. */
export interface Progress {
  readonly samples: readonly Sample[];
  readonly jobs: number;
  readonly jobsPerSecond: number;
  readonly elapsedMs: number;
}

/** What came of a phase. */
export interface Outcome {
  readonly figures: Figures;
  readonly trouble: Trouble;
}

/** Runs one phase and closes all that it opened. @throws Error when the server is gone, or no job comes. */
export async function run(phase: Phase, laboratory: Laboratory): Promise<Outcome> {
  const { meter, latencies } = laboratory;
  const before = await meter.read();
  latencies.forget();
  const work = new Work(phase, laboratory);
  const { base, peak } = await work.run();
  const opened = (await meter.read()).received - base.received;
  const [p50Ms = Number.NaN, p99Ms = Number.NaN] = latencies.percentiles(50, 99);
  const figures = {
    name: phase.name,
    bullmq: base.received - before.received,
    opened,
    peak: peak(),
    limit: phase.limit === undefined ? null : phase.limit * phase.workers,
    jobs: work.jobs,
    jobsPerSecond: perSecond(work.jobs, work.elapsedMs),
    p50Ms,
    p99Ms,
    verdict: verdictOf([...work.samples, { atMs: work.elapsedMs, opened }]),
  };
  return { figures, trouble: { errors: work.errors, left: await leftOpen(meter, before) } };
}

/** The jobs of a phase, from the first to the last. */
class Work {
  readonly samples: Sample[] = [];
  jobs = 0;
  readonly #laboratory: Laboratory;
  readonly #line: StartingLine;
  readonly #crew: Crew;
  #begunAt = 0;
  #lastAt = 0;

  constructor(phase: Phase, laboratory: Laboratory) {
    this.#laboratory = laboratory;
    this.#line = new StartingLine(phase.workers * phase.concurrency);
    this.#crew = new Crew(phase, laboratory.url, async () => {
      await this.#line.pass();
      await phase.job();
      this.jobs++;
      this.#lastAt = performance.now();
    });
  }

  get errors(): readonly unknown[] {
    return this.#crew.errors;
  }

  /** From the start of the first jobs to the end of the last. */
  get elapsedMs(): number {
    return Math.max(this.#lastAt - this.#begunAt, Number.EPSILON);
  }

  /** @returns what was open when the first job was about to begin, and how to learn the most that was added to it. */
  async run(): Promise<{ readonly base: Reading; readonly peak: () => number }> {
    const { meter } = this.#laboratory;
    try {
      await this.#crew.start();
      await this.#untilInLine();
      // No code of a job has run: all that was opened so far is BullMQ's.
      const base = await meter.read();
      const peak = meter.watchPeak();
      await this.#goOn(base);
      return { base, peak };
    } finally {
      this.#line.open();
      await this.#crew.close();
    }
  }

  /** Resolves when each worker has as many jobs as it runs at a time, and all of them wait for the start. */
  async #untilInLine(): Promise<void> {
    const late = sleep(START_MS, 'late', { ref: false });
    if ((await Promise.race([this.#line.full, late])) === 'late') throw new Error(`the workers got no jobs within ${START_MS} ms`);
  }

  /** Lets the jobs run until the time is over, something fails, or somebody interrupts. */
  async #goOn(base: Reading): Promise<void> {
    const { meter, seconds, interrupted, onProgress } = this.#laboratory;
    this.#begunAt = performance.now();
    const elapsed = () => performance.now() - this.#begunAt;
    this.#line.open();
    while (elapsed() < seconds * 1_000 && !interrupted.aborted && this.errors.length === 0) {
      await sleep(SAMPLE_MS);
      const { received } = await meter.read();
      this.samples.push({ atMs: elapsed(), opened: received - base.received });
      onProgress(this.#progress(elapsed()));
    }
  }

  #progress(elapsedMs: number): Progress {
    const { samples, jobs } = this;
    return { samples, jobs, jobsPerSecond: perSecond(jobs, elapsedMs), elapsedMs };
  }
}

function perSecond(count: number, ms: number): number {
  return count / (ms / 1_000);
}

/** How many more connections there are than before. A server needs a moment to see that one was closed. */
async function leftOpen(meter: Meter, before: Reading): Promise<number> {
  const deadline = performance.now() + LEAVE_MS;
  for (;;) {
    const left = (await meter.read()).connected - before.connected;
    if (left <= 0 || performance.now() > deadline) return Math.max(0, left);
    await sleep(5);
  }
}
