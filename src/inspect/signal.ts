import { constants } from 'node:os';
import { nextTurn } from '../clock.ts';
import { type Check, checkArgument } from '../options.ts';
import { messageOf } from '../redact.ts';
import { scopesText } from './text.ts';

const UNUSABLE = ['SIGKILL', 'SIGSTOP', 'SIGUSR1'];

/** Node itself opens its debugger on SIGUSR1. */
const signalName: Check = (value) =>
  typeof value === 'string' && Object.hasOwn(constants.signals, value) && !UNUSABLE.includes(value)
    ? undefined
    : 'the name of a signal that can be caught, such as "SIGUSR2"';

/**
 * Prints `scopesText()` to stderr whenever the signal comes: `kill -USR2 <pid>`.
 *
 * @returns takes the handler off.
 * @throws InvalidOptionError
 */
export function printOnSignal(signal: NodeJS.Signals = 'SIGUSR2'): Disposable {
  checkArgument('printOnSignal()', 'its argument', signal, signalName);
  const print = () => writeQuietly(textNow());
  process.on(signal, print);
  return {
    [Symbol.dispose]() {
      process.removeListener(signal, print);
    },
  };
}

/** Throws nothing: whoever looks must not end what is looked at. */
function textNow(): string {
  try {
    return scopesText();
  } catch (error) {
    return `What is open cannot be told: ${messageOf(error)}\n`;
  }
}

/** Bears that nobody reads stderr any more. A `Console` of Node does so, too, but not when it writes twice at a time. */
function writeQuietly(text: string): void {
  const { stderr } = process;
  const ignore = () => {};
  stderr.on('error', ignore);
  // The error is told after the callback.
  stderr.write(text, () => void nextTurn().then(() => stderr.removeListener('error', ignore)));
}
