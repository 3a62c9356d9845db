// The one place that writes to the streams of the process.
import { once } from 'node:events';
import type { WriteStream } from 'node:tty';
import { nextTurn } from '../clock.ts';

export const output: WriteStream = process.stdout;

/** Writes to stdout, and resolves when whoever reads it has room for more, or the signal aborts. */
export async function write(text: string, signal: AbortSignal): Promise<void> {
  const hasRoom = process.stdout.write(text);
  // That a disk is full is known at once, and told later.
  if (process.stdout.errored) await nextTurn();
  if (hasRoom || signal.aborted) return;
  // An aborted wait rejects; there is nobody to read any more.
  await once(process.stdout, 'drain', { signal }).catch(() => {});
}

// Nobody may read it any more: nobody heard of, the error would end the process with 1, which says that connections grow.
process.stderr.on('error', () => {});

/** Says on stderr what is wrong, in one line. */
export function complain(text: string): void {
  process.stderr.write(`scoped-pool monitor: ${text}\n`);
}
