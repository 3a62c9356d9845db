import { after, cancel, now, type Timer, within } from '../../clock.ts';
import { atRoot } from '../../context.ts';
import { JobCancelledError, WorkerTimeoutError } from '../../errors.ts';
import { AT_ONCE } from '../../scope/options.ts';
import { attachedTo, override } from './attach.ts';
import { WorkerInsides } from './inside.ts';
import type { ScopedWorker } from './scoped-worker.ts';
import type { JobLike, WorkerInside } from './worker.ts';

/** How long a worker is waited for in which no job runs: BullMQ has only its connections to close. */
const CLOSE_MS = 2_000;
/** How long what was forced may take: killed children are heard of, stops have their own limits. */
const LAST_MS = 1_000;
const UNWIND_MS = 5_000;
const TICK_MS = 20;
/** With which BullMQ tells that the end of a job is recorded. */
const ENDS = ['completed', 'failed'] as const;

/** What is known of a worker that ends, at one moment. */
export interface EndingFacts {
  /** Whether its close was begun, or joined. */
  readonly isClosing: boolean;
  readonly isClosed: boolean;
  /** Whether somebody else closes it. */
  readonly isClosedByOthers: boolean;
  /** Whether Redis can be talked to. */
  readonly isReady: boolean;
  /** Whether jobs run, or their end is not recorded, or only the scope of the worker is left. */
  readonly isBusy: boolean;
  /** Since when it is not. */
  readonly idleMs: number;
}

/** When, by the clock, patience ends. */
export interface Patience {
  readonly cancelAt: number;
  readonly forceAt: number;
}

/** What to do next. */
export function nextStep(facts: EndingFacts, { cancelAt, forceAt }: Patience, at: number): 'done' | 'close' | 'wait' | 'cancel' | 'force' {
  if (facts.isClosed) return 'done';
  if (facts.isBusy && at >= forceAt) return 'force';
  // With Redis away nothing is left to wait for: a close that is begun now, or hangs, would wait for ever.
  if (!facts.isBusy && facts.idleMs >= CLOSE_MS && (at >= forceAt || !facts.isReady)) return 'force';
  if (!facts.isClosing && (facts.isReady || facts.isClosedByOthers)) return 'close';
  return facts.isBusy && at >= cancelAt ? 'cancel' : 'wait';
}

/** What came of `shutdown`. */
export interface ClosingReport {
  /** Whether every job had ended and everything was closed in order. */
  readonly clean: boolean;
  /** The jobs that had not ended, or whose end Redis could not be told, such as `emails/job:42`. Their locks expire, then they run again. */
  readonly pending: readonly string[];
  /** How many leases were revoked over their holders' heads. */
  readonly forcedLeases: number;
}

/** The end of one worker: asked for in order, and taken by force when that does not come. */
export class Ending {
  readonly report: Promise<ClosingReport>;
  readonly #worker: WorkerInside;
  readonly #scoped: ScopedWorker | undefined;
  readonly #insides: WorkerInsides;
  readonly #begun = now();
  #patience: Patience = { cancelAt: Number.POSITIVE_INFINITY, forceAt: Number.POSITIVE_INFINITY };
  #closed: 'in order' | 'with failures' | undefined;
  #closing: Promise<void> | undefined;
  #idleSince: number | undefined;
  #pending: readonly string[] = [];
  #isForced = false;
  #wake = () => {};

  constructor(worker: WorkerInside, graceMs: number, cancelMs: number) {
    this.#worker = worker;
    this.#scoped = attachedTo(worker);
    this.#insides = new WorkerInsides(worker);
    this.hurry(graceMs, cancelMs);
    // As nobody's work: who asks may be a job, for which its own worker would not wait.
    this.report = atRoot(() => this.#run());
  }

  /** Somebody has less time. */
  hurry(graceMs: number, cancelMs: number): void {
    const { cancelAt, forceAt } = this.#patience;
    const at = now() + graceMs;
    this.#patience = { cancelAt: Math.min(cancelAt, at), forceAt: Math.min(forceAt, at + cancelMs) };
    this.#wake();
  }

  async #run(): Promise<ClosingReport> {
    this.#insides.watchChildren();
    this.#stopTaking();
    for (;;) {
      const step = nextStep(this.#facts(), this.#patience, now());
      if (step === 'done') break;
      if (step === 'close') this.#close();
      if (step === 'cancel') this.#cancel();
      if (step === 'force') {
        await this.#force();
        break;
      }
      await this.#turn();
    }
    // Also after an end in order: BullMQ may be connecting again just when it closes.
    this.#insides.cut();
    const forcedLeases = this.#scoped?.forcedLeases ?? 0;
    return { clean: this.#closed === 'in order' && !this.#isForced && forcedLeases === 0, pending: this.#pending, forcedLeases };
  }

  /** A close that is begun without Redis never ends, so until it is back the worker only pauses. */
  #stopTaking(): void {
    if (this.#insides.isReady || this.#insides.isClosing) return;
    this.#worker.pause(true).catch((error: unknown) => this.#tell(error));
  }

  #facts(): EndingFacts {
    const { isReady, hasClosed, isClosing: isClosedByOthers } = this.#insides;
    const isBusy = this.#jobs().length > 0 || (hasClosed && this.#closed === undefined);
    if (isBusy) this.#idleSince = undefined;
    else this.#idleSince ??= now();
    const idleMs = now() - (this.#idleSince ?? now());
    return { isClosing: this.#closing !== undefined, isClosed: this.#closed !== undefined, isClosedByOthers, isReady, isBusy, idleMs };
  }

  #jobs(): readonly string[] {
    const counted = this.#insides.jobs.map((id) => `job:${id}`);
    return [...new Set([...(this.#scoped?.jobs ?? []), ...counted])].map((job) => this.#nameOf(job));
  }

  #nameOf(job: string): string {
    return `${this.#worker.name}/${job}`;
  }

  /** Begins the close in order, or joins it; of a worker that has a scope the scope closes with it. */
  #close(): void {
    this.#closing = this.#worker.close().then(
      () => this.#onClosed('in order'),
      (error: unknown) => {
        // What was forced has been told.
        if (!this.#isForced) this.#tell(error);
        this.#onClosed('with failures');
      },
    );
  }

  #onClosed(how: 'in order' | 'with failures'): void {
    this.#closed = how;
    this.#wake();
  }

  /** Asked again while jobs run: one may have been on its way when the others were cancelled. */
  #cancel(): void {
    const { name } = this.#worker;
    const reason = new JobCancelledError(name, now() - this.#begun);
    // To a process of its own an error comes as an empty object.
    this.#worker.cancelAllJobs?.(this.#worker.childPool ? reason.message : reason);
    this.#scoped?.cancelAll(reason);
  }

  async #force(): Promise<void> {
    const pending = new Set(this.#jobs());
    this.#isForced = true;
    const onEnd = (job: JobLike | undefined) => pending.delete(this.#nameOf(`job:${job?.id}`));
    // Some end after all, or are failed because their process was killed, and are recorded.
    for (const event of ENDS) this.#worker.on(event, onEnd);
    const { isReady, isClosing, hasClosed } = this.#insides;
    const lastFor = hasClosed ? 'scope' : isReady && pending.size > 0 ? 'jobs' : 'Redis';
    this.#tell(new WorkerTimeoutError(this.#worker.name, { pending: [...pending], waitedMs: now() - this.#begun, lastFor }));
    // Where there was no time between, too: a processor that nobody tells would go on after the end.
    this.#cancel();
    this.#insides.killChildren();
    const forced = isClosing ? this.#closing : this.#worker.close(true).catch((error: unknown) => this.#tell(error));
    const ended = this.#scoped?.end(AT_ONCE);
    if (ended) await within(ended, UNWIND_MS);
    // A job that has lost its leases, or its process, may end after all, and BullMQ can say so.
    if (forced && (isReady || !isClosing)) await within(forced, LAST_MS);
    for (const event of ENDS) this.#worker.off(event, onEnd);
    this.#pending = [...pending];
    if (this.#insides.hasClosed) return;
    // The close that BullMQ still waits for is what it would give to whoever closes now.
    override(this.#worker, { close: async () => {} });
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = after(TICK_MS, resolve);
      this.#wake = () => {
        cancel(timer);
        resolve();
      };
    });
  }

  #tell(error: unknown): void {
    const scoped = this.#scoped;
    if (scoped) scoped.tell(error, 'close');
    else if (this.#worker.listenerCount('error') > 0) this.#worker.emit('error', error);
    else process.emitWarning(error instanceof Error ? error : String(error));
  }
}
