import { type History, ORDERS } from './history.ts';
import { printableInside } from './inside.ts';
import { picture } from './picture.ts';
import type { Screen } from './screen.ts';
import { Terminal } from './terminal.ts';

const CTRL_C = '\x03';

/** Draws in place, and obeys keys. The terminal is taken over with the first picture, so that errors before it are plain text. */
export class LiveScreen implements Screen {
  readonly #address: string;
  readonly #quit: () => void;
  #terminal: Terminal | undefined;
  #shown: History | undefined;
  #isPaused = false;
  #isTraced = false;
  #order = 0;
  #note = '';

  constructor(address: string, quit: () => void) {
    this.#address = address;
    this.#quit = quit;
  }

  async show(history: History): Promise<void> {
    this.#terminal ??= new Terminal({ onKey: (key) => this.#onKey(key), onChange: () => this.#draw() });
    // That the counts began anew is known when there is a verdict on them.
    if (history.verdict.trend !== 'watching') this.#note = '';
    // Watched on meanwhile: the picture that follows the pause lacks nothing.
    if (!this.#isPaused) this.#shown = { ...history, inside: printableInside(history.inside) };
    this.#draw();
  }

  note(text: string): void {
    this.#note = text;
    this.#draw();
  }

  close(): void {
    this.#terminal?.close();
  }

  #onKey(key: string): void {
    if (key === 'q' || key === CTRL_C) return this.#quit();
    if (key === 'p') this.#isPaused = !this.#isPaused;
    if (key === 'l') this.#isTraced = !this.#isTraced;
    if (key === 's') this.#order = (this.#order + 1) % ORDERS.length;
    this.#draw();
  }

  #draw(): void {
    if (!this.#terminal || !this.#shown) return;
    const order = ORDERS[this.#order] ?? 'growth';
    const chosen = { order, isPaused: this.#isPaused, isTraced: this.#isTraced };
    this.#terminal.draw(picture(this.#shown, { ...this.#terminal.size, ...chosen, address: this.#address, note: this.#note }));
  }
}
