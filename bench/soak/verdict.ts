/** What the process kept at a time, after a garbage collection. */
export interface Sample {
  /** How many were begun until then. */
  readonly jobs: number;
  readonly heapMb: number;
}

/** What a run is judged by. */
export interface Findings {
  /** Each must be 0. */
  readonly zeros: Readonly<Record<string, number>>;
  /** Most connections that the pool had open at a time: it must come to its limit, and not above. */
  readonly maxOpen: number;
  readonly limit: number;
  /** Of all that is listened to: before the run and after it, each time with nothing to do. */
  readonly listeners: readonly [before: number, after: number];
  readonly samples: readonly Sample[];
}

/** A heap that surely grows by more than this with each job keeps something of it: a scope, or a job of BullMQ, is 1,000 bytes. */
const BYTES_PER_JOB = 50;

/** What was not kept; nothing when all was. */
export function failureOf({ zeros, maxOpen, limit, listeners, samples }: Findings): string | undefined {
  const wrong = Object.entries(zeros).flatMap(([name, count]) => (count === 0 ? [] : [`${name}: ${count}`]));
  if (maxOpen !== limit) wrong.push(`maxOpen not ${limit}: ${maxOpen}`);
  const [before, after] = listeners;
  if (after > before) wrong.push(`listeners grew from ${before} to ${after}`);
  const { bytesPerJob, error } = growth(samples);
  // Two standard errors: what may be chance.
  if (bytesPerJob - 2 * error > BYTES_PER_JOB) wrong.push(`heap grew by ${bytesPerJob} ± ${error} bytes per job in the second half`);
  return wrong.length === 0 ? undefined : wrong.join(', ');
}

/** By how much the heap grows with each job in the second half of the run, by the line nearest to its samples, and the standard error of that. */
export function growth(samples: readonly Sample[]): { readonly bytesPerJob: number; readonly error: number } {
  const half = samples.slice(samples.length >> 1);
  const jobs = mean(half.map((sample) => sample.jobs));
  const heapMb = mean(half.map((sample) => sample.heapMb));
  const squares = sum(half.map((sample) => (sample.jobs - jobs) ** 2));
  const slope = sum(half.map((sample) => (sample.jobs - jobs) * (sample.heapMb - heapMb))) / squares;
  const rest = sum(half.map((sample) => (sample.heapMb - heapMb - slope * (sample.jobs - jobs)) ** 2));
  const error = Math.sqrt(rest / (half.length - 2) / squares);
  return { bytesPerJob: Math.round(slope * 1e6), error: Math.round(error * 1e6) };
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
