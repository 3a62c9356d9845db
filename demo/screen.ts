import type { WriteStream } from 'node:tty';
import type { Progress } from './experiment.ts';
import type { Figures } from './judge.ts';
import { LiveScreen } from './live-screen.ts';
import type { Phase } from './phases.ts';
import { PlainScreen } from './plain-screen.ts';

/** Where the demo shows what happens. */
export interface Screen {
  begin(phase: Phase, number: string): void;
  progress(progress: Progress): void;
  end(figures: Figures): void;
  /** Lines below all that was shown. */
  say(...lines: readonly string[]): void;
  /** Gives the terminal back as it was. May be repeated. */
  close(): void;
}

/** A screen that draws in place on a terminal, and one that adds lines anywhere else. */
export function screenOn(stream: WriteStream, seconds: number): Screen {
  return stream.isTTY && process.env.TERM !== 'dumb' ? new LiveScreen(stream, seconds) : new PlainScreen(stream);
}
