/** How many connections the app has opened so long after its first job began. */
export interface Sample {
  readonly atMs: number;
  readonly opened: number;
}

export type Verdict = 'plateau' | 'growing';

/** What one phase came to. */
export interface Figures {
  readonly name: string;
  /** Connections that BullMQ opened for itself. */
  readonly bullmq: number;
  /** Connections that the code of the jobs opened. */
  readonly opened: number;
  /** The most of those that were open at one time. */
  readonly peak: number;
  /** How many they may be, all workers together; null where nothing limits them. */
  readonly limit: number | null;
  readonly jobs: number;
  readonly jobsPerSecond: number;
  /** Of one command. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly verdict: Verdict;
}

/** What went wrong in a phase beside its figures. */
export interface Trouble {
  readonly errors: readonly unknown[];
  /** Connections that were still open when everything had closed. */
  readonly left: number;
}

/** The part of a phase that tells whether it has come to rest. */
const LAST_PART = 1 / 2;

/** Growing when connections were opened in the second half of the time. */
export function verdictOf(samples: readonly Sample[]): Verdict {
  const end = samples.at(-1);
  if (!end) return 'plateau';
  const border = end.atMs * (1 - LAST_PART);
  const before = samples.findLast(({ atMs }) => atMs <= border);
  return end.opened > (before?.opened ?? 0) ? 'growing' : 'plateau';
}

/** What is wrong with a phase; nothing when all is well. Growing without a limit is no fault: that is what is shown. */
export function problemsOf({ name, opened, limit, jobs }: Figures, { errors, left }: Trouble): readonly string[] {
  const problems: string[] = [];
  if (limit !== null && opened > limit) problems.push(`opened ${opened} connections, more than its limit of ${limit}`);
  if (jobs === 0) problems.push('finished no job');
  if (errors.length > 0) problems.push(`failed ${errors.length} times, first with: ${String(errors[0])}`);
  if (left > 0) problems.push(`left ${left} connections open`);
  return problems.map((problem) => `${name}: ${problem}`);
}
