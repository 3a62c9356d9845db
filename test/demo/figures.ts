import type { Figures } from '../../demo/judge.ts';

/** A phase in which all is well. */
export const GOOD: Figures = {
  name: 'wrapped',
  bullmq: 3,
  opened: 10,
  peak: 10,
  limit: 10,
  jobs: 1161,
  jobsPerSecond: 384.26,
  p50Ms: 10.79,
  p99Ms: 19.7812,
  verdict: 'plateau',
};
