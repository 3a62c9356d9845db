/** What each file of this folder exports as `bench`: measures, and answers the rows of one table. */
export type Bench = (options: BenchOptions) => Promise<readonly BenchRow[]>;

export interface BenchOptions {
  /** A short run that shows that the bench works, not a figure to quote. */
  readonly quick: boolean;
}

/** One subject that was measured. Units stand in the names of the columns: `{ subject: 'scoped-pool', medianUs: 1.3 }`. */
export type BenchRow = Readonly<Record<string, string | number>>;
