import { InvalidOptionError } from '../../errors.ts';
import type { Limit, Limits } from '../../scope/index.ts';
import { checkLimits } from '../../scope/limits.ts';

/** What a function that gives limits is told of the worker. */
export interface WorkerFacts {
  /** The name of its queue. */
  readonly name: string;
  readonly concurrency: number;
}

/** Limits for whoever runs the program: `redis=5,emails:redis=8`. */
const VARIABLE = 'SCOPED_POOL_LIMITS';
const EVERY_QUEUE = '*';

/** One entry of the variable. A queue of BullMQ has no colon in its name; a pool may. */
const ENTRY = /^(?:(?<queue>[^:=]+):)?(?<pool>[^:=][^=]*)=(?<max>\d+)$/;

/**
 * The limits of a worker: what its options say, and before that what the environment says.
 *
 * @throws InvalidOptionError
 */
export function limitsOf(
  where: string,
  limits: Limits | ((worker: WorkerFacts) => Limits) | undefined,
  { name, concurrency }: WorkerFacts,
): Limits | undefined {
  const given = typeof limits === 'function' ? limits({ name, concurrency }) : limits;
  if (typeof limits === 'function') checkLimits(`${where}: what limits() gave`, given as Limits);
  const fromOutside = limitsFromEnvironment(name);
  if (!fromOutside) return given;
  const merged: Record<string, Limit> = { ...given };
  for (const [pool, max] of fromOutside) {
    const before = merged[pool];
    merged[pool] = typeof before === 'object' ? { ...before, max } : max;
  }
  return merged;
}

/** @throws InvalidOptionError when the environment says nothing that could be understood, before any job fails of it. */
export function checkEnvironment(): void {
  limitsFromEnvironment(EVERY_QUEUE);
}

function limitsFromEnvironment(worker: string): ReadonlyMap<string, number> | undefined {
  const text = process.env[VARIABLE];
  if (text === undefined || text.trim() === '') return undefined;
  const entries = text.split(',').map((entry) => parse(entry.trim()));
  // What is said of one queue goes before what is said of all.
  const ofAll = entries.filter(({ queue }) => queue === EVERY_QUEUE);
  const own = entries.filter(({ queue }) => queue === worker);
  return new Map([...ofAll, ...own].map(({ pool, max }) => [pool, max]));
}

function parse(entry: string): { readonly queue: string; readonly pool: string; readonly max: number } {
  const { queue = EVERY_QUEUE, pool, max } = ENTRY.exec(entry)?.groups ?? {};
  if (pool !== undefined && Number(max) >= 1 && Number.isSafeInteger(Number(max))) return { queue, pool, max: Number(max) };
  const expected = 'a list of pool=max or queue:pool=max, each max an integer from 1, such as "redis=5,emails:redis=8"';
  throw new InvalidOptionError({ where: 'environment', option: VARIABLE, expected, actual: entry });
}
