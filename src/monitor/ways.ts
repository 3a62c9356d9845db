/** Calls that led to a line, how often of late and in all. */
export interface Way {
  readonly stack: readonly string[];
  readonly grown: number;
  readonly count: number;
}

/** Of several ways to one line, from all processes, that of the most: who shares it with others is not to be blamed for them. */
export function mostTrodden(ways: readonly Way[]): readonly string[] {
  const sums = new Map<string, Way>();
  for (const { stack, grown, count } of ways) {
    const key = stack.join('\n');
    const sum = sums.get(key) ?? { stack, grown: 0, count: 0 };
    sums.set(key, { stack, grown: sum.grown + grown, count: sum.count + count });
  }
  const [most] = [...sums.values()].sort((a, b) => b.grown - a.grown || b.count - a.count);
  return most?.stack ?? [];
}
