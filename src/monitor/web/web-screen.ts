import { wallTime } from '../../clock.ts';
import { InvalidOptionError } from '../../errors.ts';
import type { History } from '../history.ts';
import { complain, write } from '../output.ts';
import type { Screen } from '../screen.ts';
import { pageFiles } from './files.ts';
import { Journal } from './journal.ts';
import { MOST_POINTS, type News, type Point } from './page/messages.ts';
import { PageServer } from './server.ts';
import { shotOf } from './shot.ts';

/** What pages show that are open in browsers of this machine. It remembers for those that are opened later. */
export class WebScreen implements Screen {
  readonly #address: string;
  readonly #journal = new Journal();
  #server: PageServer | undefined;
  #points: readonly Point[] = [];
  #last: History | undefined;
  #note = '';
  #isLost = false;
  #isAnnounced = false;

  private constructor(address: string) {
    this.#address = address;
  }

  /** @param port As `PageServer.listen` takes it. @throws InvalidOptionError when it cannot listen there. */
  static async open(address: string, port: number | undefined): Promise<WebScreen> {
    const screen = new WebScreen(address);
    const served = { files: pageFiles(), begin: () => screen.#all() };
    screen.#server = await PageServer.listen(port, served).catch(({ code }: NodeJS.ErrnoException) => {
      const expected = `a port of 127.0.0.1 on which one can listen (${code}), or 0 for any that is free`;
      throw new InvalidOptionError({ where: 'called wrongly', option: '--port', expected, actual: port });
    });
    return screen;
  }

  async show(history: History): Promise<void> {
    this.#isLost = false;
    const points = this.#add(history);
    const entries = this.#journal.observe(history);
    // That the counts began anew is known when there is a verdict on them.
    if (history.verdict.trend !== 'watching') this.#note = '';
    this.#tell({ points, entries, shot: this.#server?.isRead ? this.#shot() : undefined });
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    await write(`${this.#server?.url}\n`, AbortSignal.abort());
  }

  note(text: string): void {
    complain(text);
    this.#note = text;
    // Also when the connection is there again: the sample that says so comes at once.
    this.#isLost = true;
    this.#tell({ points: [], entries: this.#journal.note(text) });
  }

  close(): void {
    this.#server?.close();
  }

  /** @returns the new points, with a gap before those of a history that begins anew. */
  #add(history: History): readonly Point[] {
    const { first, last } = history;
    const atMs = wallTime();
    const gap: readonly Point[] = history.points.length === 1 && this.#last ? [[atMs - 1, null, null, null]] : [];
    const points: readonly Point[] = [...gap, [atMs, last.received - first.received, last.clients, last.blocked]];
    this.#points = [...this.#points, ...points].slice(-MOST_POINTS);
    this.#last = history;
    return points;
  }

  #all(): News {
    return { points: this.#points, entries: this.#journal.entries, shot: this.#shot(), ...this.#standing() };
  }

  #shot(): News['shot'] {
    return this.#last && shotOf(this.#last, this.#address);
  }

  #standing(): Pick<News, 'note' | 'isLost'> {
    return { note: this.#note, isLost: this.#isLost };
  }

  #tell(news: Omit<News, 'note' | 'isLost'>): void {
    this.#server?.send('news', { ...news, ...this.#standing() });
  }
}
