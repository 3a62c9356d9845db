import { factsOf, type History } from './history.ts';
import { printableInside } from './inside.ts';
import { jsonLine } from './json-line.ts';
import { complain, output, write } from './output.ts';
import { still } from './picture.ts';
import type { Screen } from './screen.ts';
import { failureTexts, logLine } from './wording.ts';

/** Columns where there is no terminal to have some. */
const COLUMNS = 120;

/** Lines that follow one another, for files, pipes and logs. */
abstract class Lines implements Screen {
  readonly #signal: AbortSignal;
  readonly #said = new Set<string>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  protected abstract linesOf(history: History): readonly string[];

  async show(seen: History): Promise<void> {
    const history = { ...seen, inside: printableInside(seen.inside) };
    // Once each: a process that is late now and then would else fill the log.
    for (const failure of failureTexts(history.inside).filter((text) => !this.#said.has(text))) {
      this.#said.add(failure);
      complain(failure);
    }
    await write(
      this.linesOf(history)
        .map((line) => `${line}\n`)
        .join(''),
      this.#signal,
    );
  }

  note(text: string): void {
    complain(text);
  }

  close(): void {}
}

/** One line for each sample. */
export class LogScreen extends Lines {
  protected override linesOf(history: History): readonly string[] {
    return [logLine(factsOf(history))];
  }
}

/** One JSON object for each sample, on a line of its own. */
export class JsonScreen extends Lines {
  readonly #address: string;

  constructor(address: string, signal: AbortSignal) {
    super(signal);
    this.#address = address;
  }

  protected override linesOf(history: History): readonly string[] {
    return [jsonLine(history, this.#address)];
  }
}

/** Everything that one sample tells. */
export class OnceScreen extends Lines {
  readonly #address: string;

  constructor(address: string, signal: AbortSignal) {
    super(signal);
    this.#address = address;
  }

  protected override linesOf(history: History): readonly string[] {
    const columns = output.columns || COLUMNS;
    return still(history, { address: this.#address, columns, order: 'growth' }).map(({ text }) => text);
  }
}
