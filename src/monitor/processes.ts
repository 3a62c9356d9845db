import { lstatSync, rmSync } from 'node:fs';
import { type Within, wallTime, within } from '../clock.ts';
import type { ProcessInspection } from '../inspect/process.ts';
import { socketFolder, socketsIn } from '../inspect/socket.ts';
import { ask, type Request } from './inquiry.ts';

/** What processes say of themselves, and who could not be asked. */
export interface Answers {
  readonly inspections: readonly ProcessInspection[];
  /** By address: why. */
  readonly failures: ReadonlyMap<string, string>;
}

/** How long all of them together may hold up what is shown. */
const WAIT_MS = 500;
/** How long one of them may take: a process that leaks may well be a busy one. */
const ANSWER_MS = 5_000;
/** A process that starts has its socket before it listens there, and refuses until then: one that is so new stays. */
const NEW_MS = 5_000;
const LATE = 'it does not answer in time';

/** Asks processes what they have open, again and again. */
export class Processes {
  readonly #given: readonly string[];
  readonly #known = new Map<string, Asked>();

  /** @param given Paths of sockets and URLs. Beside them all are asked whose sockets are found. */
  constructor(given: readonly string[]) {
    this.#given = given;
  }

  /** Never waits long: of a process that is late, what it said last stands until it answers. */
  async ask(): Promise<Answers> {
    const folder = socketFolder();
    const found = folder === undefined ? [] : socketsIn(folder);
    const addresses = new Set([...this.#given, ...found]);
    for (const address of this.#known.keys()) if (!addresses.has(address)) this.#forget(address);
    for (const address of addresses) {
      if (!this.#known.has(address)) this.#known.set(address, new Asked(address, !this.#given.includes(address)));
    }
    const asked = [...this.#known.values()];
    await within(Promise.all(asked.map((each) => each.ask())), WAIT_MS);
    // One may serve at a socket and at a port.
    const inspections = new Map(asked.flatMap(({ inspection }) => (inspection ? [[inspection.id, inspection]] : [])));
    return {
      inspections: [...inspections.values()],
      failures: new Map(asked.flatMap(({ address, failure }) => (failure === undefined ? [] : [[address, failure]]))),
    };
  }

  /** No answer is waited for any more. */
  close(): void {
    for (const address of this.#known.keys()) this.#forget(address);
  }

  #forget(address: string): void {
    this.#known.get(address)?.close();
    this.#known.delete(address);
  }
}

/** One process, and what it said last. */
class Asked {
  readonly address: string;
  readonly #isFound: boolean;
  #request: Request | undefined;
  #answer: Promise<void> | undefined;
  #inspection: ProcessInspection | undefined;
  #failure: string | undefined;

  constructor(address: string, isFound: boolean) {
    this.address = address;
    this.#isFound = isFound;
  }

  get inspection(): ProcessInspection | undefined {
    return this.#inspection;
  }

  get failure(): string | undefined {
    const failure = this.#answer ? LATE : this.#failure;
    return failure === LATE && this.#inspection ? `${LATE}; shown is what it said last` : failure;
  }

  /** Resolves when it has answered, or has failed. While it is asked, it is not asked again. */
  ask(): Promise<void> {
    this.#answer ??= this.#ask().finally(() => {
      this.#answer = undefined;
    });
    return this.#answer;
  }

  close(): void {
    this.#request?.cancel();
  }

  async #ask(): Promise<void> {
    try {
      const answer = await this.#hear().catch((error: NodeJS.ErrnoException) => {
        // It may have ended just then: asked once more, it is not there.
        if (error.code !== 'ECONNRESET') throw error;
        return this.#hear();
      });
      this.#failure = answer === 'late' ? LATE : undefined;
      if (answer === 'late') this.#request?.cancel();
      else this.#inspection = answer.value;
    } catch (error) {
      this.#inspection = undefined;
      this.#failure = this.#hasEnded(error) ? undefined : (error as Error).message;
    }
  }

  #hear(): Promise<Within<ProcessInspection>> {
    this.#request = ask(this.address);
    return within(this.#request.answer, ANSWER_MS);
  }

  /** Whether nobody listens there any more, as after SIGKILL: what is left of a process that was found is taken away. */
  #hasEnded(error: unknown): boolean {
    const { code } = error as NodeJS.ErrnoException;
    if (!this.#isFound || (code !== 'ECONNREFUSED' && code !== 'ENOENT')) return false;
    const { mtimeMs = 0 } = lstatSync(this.address, { throwIfNoEntry: false }) ?? {};
    if (Math.abs(wallTime() - mtimeMs) > NEW_MS) rmSync(this.address, { force: true });
    return true;
  }
}
