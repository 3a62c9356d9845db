import { styleText } from 'node:util';
import { output } from './output.ts';
import type { Line } from './table.ts';

const ESCAPE = '\x1b[';
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l`;
const LEAVE = `${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const CTRL_Z = '\x1a';
/** Arrows and their like come as several characters, of which none is a key. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal sends
const SEQUENCES = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)?/g;

/** What a terminal tells. */
export interface TerminalListener {
  onKey(key: string): void;
  /** The picture is to be drawn anew: the size is another, or the terminal was somebody else's meanwhile. */
  onChange(): void;
}

/** Whether somebody sits there who sees pictures and presses keys. */
export function isInteractive(): boolean {
  return output.isTTY && process.stdin.isTTY && process.env.TERM !== 'dumb';
}

/** The terminal, taken over: its other screen, its keys. Given back as it was by `close`, and whatever the process dies of. */
export class Terminal {
  readonly #listener: TerminalListener;
  #isOurs = false;

  constructor(listener: TerminalListener) {
    this.#listener = listener;
    // Also when something throws: Node says what only after that.
    process.on('exit', this.#leave);
    process.on('SIGTSTP', this.#stop);
    process.on('SIGCONT', this.#goOn);
    output.on('resize', this.#onResize);
    process.stdin.on('data', this.#onData);
    this.#enter();
  }

  /** A column less than there is: what stands in the last one some terminals wipe away. */
  get size(): { readonly columns: number; readonly rows: number } {
    return { columns: (output.columns || 80) - 1, rows: output.rows || 24 };
  }

  draw(lines: readonly Line[]): void {
    if (!this.#isOurs) return;
    output.write(`${HOME}${lines.map((line) => paint(line) + CLEAR_LINE).join('\r\n')}${CLEAR_BELOW}`);
  }

  /** May be repeated. */
  close(): void {
    process.off('exit', this.#leave);
    process.off('SIGTSTP', this.#stop);
    process.off('SIGCONT', this.#goOn);
    output.off('resize', this.#onResize);
    process.stdin.off('data', this.#onData);
    this.#leave();
  }

  #enter(): void {
    this.#isOurs = true;
    process.stdin.setRawMode(true).resume();
    output.write(ENTER);
  }

  readonly #leave = (): void => {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    process.stdin.setRawMode(false).pause();
    output.write(LEAVE);
  };

  readonly #stop = (): void => {
    this.#leave();
    process.kill(process.pid, 'SIGSTOP');
  };

  readonly #goOn = (): void => {
    this.#enter();
    this.#listener.onChange();
  };

  readonly #onResize = (): void => this.#listener.onChange();

  readonly #onData = (data: Buffer): void => {
    for (const key of data.toString().replaceAll(SEQUENCES, '')) {
      // To the whole group, as the terminal does it, so that the shell notices.
      if (key === CTRL_Z) process.kill(0, 'SIGTSTP');
      else this.#listener.onKey(key);
    }
  };
}

function paint({ text, style }: Line): string {
  return style !== undefined && output.hasColors() ? styleText(style, text) : text;
}
