/** What each file of this folder exports as `bench`: measures, and says what came out. */
export type Bench = (options: BenchOptions) => Promise<BenchResult>;

export interface BenchOptions {
  /** A short run that shows that the bench works, not a figure to quote. */
  readonly quick: boolean;
  /** How long to run, where a bench has no end of its own. */
  readonly seconds?: number | undefined;
  /** What chance begins with, where a bench leaves something to it; it says which. */
  readonly seed?: number | undefined;
  /** Lists what is else only counted, where a bench has such a thing. */
  readonly verbose: boolean;
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

/** How often subjects are measured, and how many loops each time. */
export interface Rounds {
  readonly rounds: number;
  readonly loops: number;
}

/**
 * Measures subjects in turn, round after round in one process, so that what else the machine does falls on all of them.
 *
 * @returns the median of each, in nanoseconds per loop, in the order of the subjects.
 */
export async function interleave(subjects: readonly Subject[], rounds: Rounds): Promise<number[]> {
  return (await interleaveRounds(subjects, rounds)).map(median);
}

/**
 * As {@link interleave}, but returns every round of each: what was measured in the same round stands at the same place.
 * Every round has an order of its own, because a subject leaves its garbage to the next: in one order for all rounds, of
 * two subjects with the same code one came out 1.3 times as fast (100 users of a Redis connection).
 */
export async function interleaveRounds(subjects: readonly Subject[], { rounds, loops }: Rounds): Promise<number[][]> {
  const times = subjects.map((): number[] => []);
  const warmUp = Math.ceil(rounds / 4);
  for (let round = -warmUp; round < rounds; round++) {
    for (const [place, subject] of shuffled([...subjects.entries()])) {
      const begun = performance.now();
      await subject(loops);
      if (round >= 0) times[place]?.push(((performance.now() - begun) * 1e6) / loops);
    }
  }
  return times;
}

/** In an order that chance names. */
export function shuffled<T>(values: readonly T[]): T[] {
  const keyed = values.map((value) => ({ value, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ value }) => value);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** A ratio as it is shown: to two places. */
export function ratio(a: number | undefined, b: number | undefined): number {
  return Math.round(((a ?? Number.NaN) / (b ?? Number.NaN)) * 100) / 100;
}
