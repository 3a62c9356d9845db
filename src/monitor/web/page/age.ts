// As inspect/age.ts, which lies outside of what is served to a browser; one test holds both.

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const;

/** In the largest unit of which it is one or more: `59s`, `2m`, `3h`, `4d`. */
export function ageText(seconds: number): string {
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ['s', 1];
  return `${Math.floor(seconds / size)}${unit}`;
}
