import type { Figures } from './judge.ts';

/** What the demo came to. */
export interface Report {
  readonly phases: readonly Figures[];
  /** What went wrong; empty when all is well. */
  readonly problems: readonly string[];
}

/** The last word: that all held, or what did not. */
export function conclusion({ phases, problems }: Report): readonly string[] {
  if (problems.length > 0) return problems.map((problem) => `FAILED: ${problem}`);
  const opened = phases.filter(({ limit }) => limit !== null).map((phase) => phase.opened);
  return [`ok: wrapped workers opened ${opened.join(', ')} connections, each within its limit`];
}

export function exitCodeOf({ problems }: Report): number {
  return problems.length === 0 ? 0 : 1;
}

/** The report in one line, for programs. */
export function toJson({ phases, problems }: Report): string {
  const rounded = phases.map((phase) => ({
    ...phase,
    jobsPerSecond: round(phase.jobsPerSecond, 1),
    p50Ms: round(phase.p50Ms, 3),
    p99Ms: round(phase.p99Ms, 3),
  }));
  return JSON.stringify({ phases: rounded, ok: problems.length === 0 });
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
