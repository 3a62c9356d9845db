import { type Check, checkArgument, checkOptions, duration, flag } from '../../options.ts';
import { type ClosingReport, Ending } from './ending.ts';
import { isWorker, type WorkerInside, type WorkerLike, workersIn } from './worker.ts';

/** Settings of `shutdown`. */
export interface ClosingOptions {
  /** How long jobs may go on as they are, in milliseconds. Default 10,000. */
  readonly graceMs?: number | undefined;
  /** How long jobs may take to end once they are cancelled. Then their connections are closed under them. Default 1,000. */
  readonly cancelMs?: number | undefined;
  /** Has no patience, as 0 for both. Default false. */
  readonly force?: boolean | undefined;
}

export const GRACE_MS = 10_000;
export const CANCEL_MS = 1_000;
const CHECKS = { graceMs: duration(), cancelMs: duration(), force: flag } satisfies Record<keyof ClosingOptions, unknown>;

const noWorker: Check = (value) => (isWorker(value) ? 'an object of settings (several workers go into an array)' : undefined);

const endings = new WeakMap<WorkerInside, Ending>();

/**
 * Closes workers and their scopes, and always comes to an end, also when Redis is away, where `worker.close()` waits for
 * ever. They take no more jobs. Those that run go on for `graceMs`, acquire included; then they are cancelled, through
 * BullMQ's signal and their scopes; `cancelMs` later what is left loses its leases and connections, for which it takes a
 * second more, and up to six where stops that were given to a scope hang. Where no job runs and Redis is away, it is over
 * after two seconds.
 *
 * Workers may be wrapped or not, sandboxed, closing or closed. Of those not wrapped only what runs in jobs is known, as
 * far as BullMQ tells. Asked again, it is the same end, hurried by whoever has less patience.
 *
 * @returns never rejected: what fails is told to the `onError` of the worker, else to its listeners of `error`.
 * @throws InvalidOptionError, NotAWorkerError at once.
 */
export function shutdown(workers: WorkerLike | readonly WorkerLike[], options: ClosingOptions = {}): Promise<ClosingReport> {
  const where = 'shutdown()';
  const all = workersIn(where, workers);
  checkArgument(where, 'options', options, noWorker);
  checkOptions(where, options, CHECKS);
  const { graceMs = GRACE_MS, cancelMs = CANCEL_MS, force = false } = options;
  return merge(all.map((worker) => endOf(worker, force ? 0 : graceMs, force ? 0 : cancelMs).report));
}

function endOf(worker: WorkerInside, graceMs: number, cancelMs: number): Ending {
  const existing = endings.get(worker);
  existing?.hurry(graceMs, cancelMs);
  const ending = existing ?? new Ending(worker, graceMs, cancelMs);
  endings.set(worker, ending);
  return ending;
}

async function merge(reports: readonly Promise<ClosingReport>[]): Promise<ClosingReport> {
  const all = await Promise.all(reports);
  return {
    clean: all.every(({ clean }) => clean),
    pending: all.flatMap(({ pending }) => pending),
    forcedLeases: all.reduce((sum, { forcedLeases }) => sum + forcedLeases, 0),
  };
}
