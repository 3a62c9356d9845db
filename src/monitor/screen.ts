import type { Arguments } from './arguments.ts';
import type { History } from './history.ts';
import { LiveScreen } from './live-screen.ts';
import { JsonScreen, LogScreen, OnceScreen } from './log.ts';
import { isInteractive } from './terminal.ts';

/** Where the monitor shows what it sees. */
export interface Screen {
  /** Resolves when the next may come. */
  show(history: History): Promise<void>;
  /** Says something beside it: that the connection is lost, or there again. */
  note(text: string): void;
  /** Gives the terminal back as it was. May be repeated. */
  close(): void;
}

/** @param interruption Aborted by the keys of a terminal, and by whoever else ends the watching. */
export function screenFor({ json, once, expectPlateauMs }: Arguments, address: string, interruption: AbortController): Screen {
  if (json) return new JsonScreen(address, interruption.signal);
  if (once) return new OnceScreen(address, interruption.signal);
  const isWatched = expectPlateauMs === undefined && isInteractive();
  return isWatched ? new LiveScreen(address, () => interruption.abort()) : new LogScreen(interruption.signal);
}
