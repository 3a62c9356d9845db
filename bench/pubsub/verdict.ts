/** The least that is wanted of the highest rate of plain ioredis. */
const LEAST_RATE = 0.9;

/** What was found. */
export interface Findings {
  readonly expected: number;
  readonly delivered: number;
  readonly strays: number;
  readonly gaps: number;
  readonly rateToIoredis: number;
  /** Short runs are at the mercy of what else the machine does: their rate bounds nothing. */
  readonly quick: boolean;
}

/** What was not as it must be; nothing when all was. */
export function failureOf({ expected, delivered, strays, gaps, rateToIoredis, quick }: Findings): string | undefined {
  const failures = [
    ...(delivered === expected ? [] : [`delivered ${delivered} of ${expected}`]),
    ...(strays === 0 ? [] : [`twice or in another order: ${strays}`]),
    ...(gaps === 0 ? [] : [`gaps: ${gaps}`]),
    ...(quick || rateToIoredis >= LEAST_RATE ? [] : [`rate to ioredis below ${LEAST_RATE}: ${rateToIoredis}`]),
  ];
  return failures.length === 0 ? undefined : failures.join(', ');
}
