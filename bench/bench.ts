/** What each file of this folder exports as `bench`: measures, and says what came out. */
export type Bench = (options: BenchOptions) => Promise<BenchResult>;

export interface BenchOptions {
  /** A short run that shows that the bench works, not a figure to quote. */
  readonly quick: boolean;
}

export interface BenchResult {
  /** One row per subject that was measured. Units stand in the names of the columns: `{ subject: 'scoped-pool', medianNs: 1300 }`. */
  readonly rows: readonly Readonly<Record<string, string | number>>[];
  /** The figures that others compare, as `--json` prints them. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** A bound that was not kept; the run then ends with exit code 1. */
  readonly failure?: string | undefined;
}

/** What is measured against each other: does its work `loops` times and resolves when all of it is done. */
export type Subject = (loops: number) => Promise<unknown>;

/**
 * Measures subjects in turn, round after round in one process, so that what else the machine does falls on all of them.
 *
 * @returns the median of each, in nanoseconds per loop, in the order of the subjects.
 */
export async function interleave(subjects: readonly Subject[], { rounds, loops }: { rounds: number; loops: number }): Promise<number[]> {
  const times = subjects.map((): number[] => []);
  const warmUp = Math.ceil(rounds / 4);
  for (let round = -warmUp; round < rounds; round++) {
    for (const [place, subject] of subjects.entries()) {
      const begun = performance.now();
      await subject(loops);
      if (round >= 0) times[place]?.push(((performance.now() - begun) * 1e6) / loops);
    }
  }
  return times.map(median);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** A ratio as it is shown: to two places. */
export function ratio(a: number | undefined, b: number | undefined): number {
  return Math.round(((a ?? Number.NaN) / (b ?? Number.NaN)) * 100) / 100;
}
