import { constants } from 'node:os';
import { InvalidOptionError } from '../errors.ts';
import { isFinal } from '../redis/connection.ts';
import { addressOf, adviceOn } from './advice.ts';
import { type Arguments, readArguments, USAGE } from './arguments.ts';
import { type History, observe, windowMsOf } from './history.ts';
import { type Inside, printableInside } from './inside.ts';
import { complain, output, write } from './output.ts';
import type { Sample } from './sampler.ts';
import type { Screen } from './screen.ts';
import { screenFor } from './screens.ts';
import { watch } from './watch.ts';
import { howToText, suspectTexts, verdictText } from './wording.ts';

const EXIT = { ok: 0, growing: 1, usage: 2, unwatchable: 3, signal: 128 };
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** What ends the watching before it was asked to end, as one line of text. */
class Failure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** `scoped-pool monitor …`. @returns the exit code, when everything is closed. */
export async function monitor(args: readonly string[]): Promise<number> {
  try {
    const asked = readArguments(args, process.env);
    if (asked !== 'help') return await Watching.run(asked);
    await write(`${USAGE}\n`, AbortSignal.abort());
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof Failure || error instanceof InvalidOptionError)) throw error;
    complain(error.message);
    return error instanceof Failure ? error.exitCode : EXIT.usage;
  }
}

/** One run of the monitor. */
class Watching {
  readonly #asked: Arguments;
  readonly #interruption: AbortController;
  readonly #screen: Screen;
  #history: History | undefined;
  /** Of the server that was watched before the connection was lost. */
  #runId: string | undefined;
  #lastNote = '';

  private constructor(asked: Arguments, screen: Screen, interruption: AbortController) {
    this.#asked = asked;
    this.#screen = screen;
    this.#interruption = interruption;
  }

  /** @throws Failure, InvalidOptionError */
  static async run(asked: Arguments): Promise<number> {
    const interruption = new AbortController();
    const screen = await screenFor(asked, addressOf(asked.url), interruption);
    return new Watching(asked, screen, interruption).#run();
  }

  async #run(): Promise<number> {
    this.#listen();
    const { signal } = this.#interruption;
    try {
      for await (const happening of watch(this.#asked, signal)) {
        if (happening.kind === 'lost') this.#onLost(happening.error);
        else if (await this.#hasEnded(happening.sample, happening.inside)) break;
      }
    } finally {
      this.#screen.close();
    }
    const { [signal.reason as NodeJS.Signals]: number } = constants.signals;
    return number === undefined ? EXIT.ok : EXIT.signal + number;
  }

  /** The first signal ends in order; the second one ends the process. */
  #listen(): void {
    for (const signal of SIGNALS) process.once(signal, () => this.#interruption.abort(signal));
    // Whoever read our output has gone: `scoped-pool monitor | head`.
    output.on('error', () => this.#interruption.abort('SIGPIPE'));
    this.#interruption.signal.addEventListener('abort', () => this.#screen.close());
  }

  /** @throws Failure when there is no use in trying again, or nobody to wait for it. */
  #onLost(error: unknown): void {
    const { once, expectPlateauMs, url } = this.#asked;
    const advice = adviceOn(error, url);
    const wasThere = this.#runId !== undefined;
    if (!wasThere || isFinal(error) || once || expectPlateauMs !== undefined) {
      throw new Failure(`${wasThere ? 'the connection was lost while watching: ' : ''}${advice}`, EXIT.unwatchable);
    }
    this.#history = undefined;
    this.#say(`connection lost, trying again; ${advice}`);
  }

  /** Shows what the sample adds. @throws Failure when it ends with a plateau that is none. */
  async #hasEnded(sample: Sample, inside: Inside): Promise<boolean> {
    const { once, intervalMs, expectPlateauMs } = this.#asked;
    if (!this.#history && this.#runId !== undefined) {
      this.#say(`connected again: ${sample.runId === this.#runId ? 'the same server' : 'the server was restarted'}; counts begin anew`);
    }
    this.#runId = sample.runId;
    this.#history = observe(this.#history, sample, windowMsOf(intervalMs), inside);
    await this.#screen.show(this.#history);
    if (once || expectPlateauMs === undefined) return once;
    const { first, verdict, last } = this.#history;
    const watchedMs = last.atMs - first.atMs;
    if (watchedMs < expectPlateauMs) return false;
    if (verdict.trend === 'plateau') return true;
    if (verdict.trend === 'watching') {
      // What nobody saw is no plateau; but a pipeline is not to wait for ever.
      if (watchedMs < 2 * expectPlateauMs) return false;
      const seconds = Math.round(watchedMs / 1_000);
      throw new Failure(`too few answers came in ${seconds} s to tell. See whether server or machine is overloaded`, EXIT.unwatchable);
    }
    const suspects = suspectTexts({ names: last.names, inside: printableInside(inside) });
    const who = suspects.length > 0 ? suspects : ['all were closed again or rejected; see who connects for each piece of work'];
    throw new Failure([verdictText(verdict), ...who, howToText(inside)].filter((part) => part !== '').join('; '), EXIT.growing);
  }

  /** Says it once, not with each attempt. */
  #say(note: string): void {
    if (note !== this.#lastNote) this.#screen.note(note);
    this.#lastNote = note;
  }
}
