/** How a phase stands, in one line. */
export function status({ opened, limit, jobs, jobsPerSecond }: Status): string {
  const bound = limit === null ? 'no limit' : `limit ${limit}`;
  const speed = `${Math.round(jobsPerSecond)} jobs/s`;
  return [`opened ${opened} (${bound})`.padEnd(25), `jobs ${jobs}`.padEnd(12), speed.padEnd(13)].join(' ');
}

export interface Status {
  readonly opened: number;
  /** null where nothing limits. */
  readonly limit: number | null;
  readonly jobs: number;
  readonly jobsPerSecond: number;
}
