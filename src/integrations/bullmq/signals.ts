import { constants } from 'node:os';
import { nextTurn, within } from '../../clock.ts';
import { NotAWorkerError } from '../../errors.ts';
import { type Check, callable, checkOptions, duration, flag } from '../../options.ts';
import type { ClosingReport } from './ending.ts';
import { CANCEL_MS, shutdown } from './shutdown.ts';
import { isWorker, type WorkerLike, workersIn } from './worker.ts';

/** Settings of `handleSignals`. */
export interface SignalOptions {
  /** What ends the workers. Default SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[] | undefined;
  /** How long jobs may go on as they are, in milliseconds. Default 10,000. */
  readonly graceMs?: number | undefined;
  /** How long jobs may take to end once they are cancelled; and how long `onDone` may take. Default 1,000. */
  readonly cancelMs?: number | undefined;
  /** Called when the workers have ended, to close what else is open; awaited. */
  readonly onDone?: ((report: ClosingReport) => unknown) | undefined;
  /** Whether the process is ended then: with 0 when the report is clean, else with 1. Default true. */
  readonly exit?: boolean | undefined;
}

const SIGNALS = constants.signals as Readonly<Record<string, number>>;
const UNCATCHABLE = ['SIGKILL', 'SIGSTOP'];

const signalNames: Check = (value) => {
  const isFine = (name: unknown) => typeof name === 'string' && Object.hasOwn(SIGNALS, name) && !UNCATCHABLE.includes(name);
  return Array.isArray(value) && value.length > 0 && value.every(isFine)
    ? undefined
    : 'names of signals that can be caught, such as "SIGTERM"';
};

const CHECKS = {
  signals: signalNames,
  graceMs: duration(),
  cancelMs: duration(),
  onDone: callable,
  exit: flag,
} satisfies Record<keyof SignalOptions, unknown>;

/** What signals have begun in this process; the exit codes. */
const ends = new Set<Promise<0 | 1>>();

/**
 * Calls `shutdown` at the first signal, then `onDone`, then ends the process. A second signal ends it at once, with 128
 * and the number of the signal. An array of workers is read when the signal comes. Called several times, as for the
 * workers of several modules, the process ends when all have ended.
 *
 * @returns takes the handlers off.
 * @throws InvalidOptionError, NotAWorkerError.
 */
export function handleSignals(workers: WorkerLike | readonly WorkerLike[], options: SignalOptions = {}): Disposable {
  const where = 'handleSignals()';
  checkOptions(where, options, CHECKS);
  workersIn(where, workers);
  const { signals = ['SIGTERM', 'SIGINT'], exit = true } = options;
  let isEnding = false;
  const handle = (signal: NodeJS.Signals) => {
    if (isEnding) process.exit(128 + (SIGNALS[signal] ?? 0));
    isEnding = true;
    const ended = end(workers, options);
    ends.add(ended);
    void ended.then(async () => {
      if (!exit) return;
      const codes = await Promise.all(ends);
      // Warnings are written in the next turn.
      await nextTurn();
      process.exit(Math.max(...codes));
    });
  };
  for (const signal of signals) process.on(signal, handle);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) process.removeListener(signal, handle);
    },
  };
}

/** @returns the exit code. */
async function end(workers: WorkerLike | readonly WorkerLike[], { graceMs, cancelMs, onDone }: SignalOptions): Promise<0 | 1> {
  const all: readonly unknown[] = Array.isArray(workers) ? workers : [workers];
  // An array may have changed; what else is in it must not cost the workers their jobs.
  const known = all.filter(isWorker);
  if (known.length < all.length)
    warn(
      new NotAWorkerError(
        'handleSignals()',
        `${all.length - known.length} of what it was given was no Worker when the signal came; the others are shut down`,
      ),
    );
  try {
    const report = await shutdown(known as unknown as readonly WorkerLike[], { graceMs, cancelMs });
    const done = Promise.resolve(onDone?.(report));
    if ((await within(done, cancelMs ?? CANCEL_MS)) !== 'late') return report.clean && known.length === all.length ? 0 : 1;
    warn(`onDone() had not come back after ${cancelMs ?? CANCEL_MS} ms (cancelMs), and is no longer waited for`);
  } catch (error) {
    warn(error instanceof Error ? error : String(error));
  }
  return 1;
}

function warn(warning: Error | string): void {
  process.emitWarning(warning);
}
