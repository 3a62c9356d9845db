import type { History } from './history.ts';

/** Where the monitor shows what it sees. */
export interface Screen {
  /** Resolves when the next may come. */
  show(history: History): Promise<void>;
  /** Says something beside it: that the connection is lost, or there again. */
  note(text: string): void;
  /** Gives the terminal back as it was. May be repeated. */
  close(): void;
}
