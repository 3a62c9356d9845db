import type { Arguments } from './arguments.ts';
import { LiveScreen } from './live-screen.ts';
import { JsonScreen, LogScreen, OnceScreen } from './log.ts';
import type { Screen } from './screen.ts';
import { isInteractive } from './terminal.ts';
import { WebScreen } from './web/web-screen.ts';

/**
 * The screen that was asked for.
 *
 * @param interruption Aborted by the keys of a terminal, and by whoever else ends the watching.
 * @throws InvalidOptionError when a page cannot be served where it was asked for.
 */
export async function screenFor(asked: Arguments, address: string, interruption: AbortController): Promise<Screen> {
  const { json, once, web, port, expectPlateauMs } = asked;
  if (web) return WebScreen.open(address, port);
  if (json) return new JsonScreen(address, interruption.signal);
  if (once) return new OnceScreen(address, interruption.signal);
  const isWatched = expectPlateauMs === undefined && isInteractive();
  return isWatched ? new LiveScreen(address, () => interruption.abort()) : new LogScreen(interruption.signal);
}
