import { afterIdly, cancel, now, onWake, type Timer } from '../clock.ts';
import { atRoot } from '../context.ts';

/** How often the time is looked up while somebody asks for it, in milliseconds. */
const EVERY_MS = 10;

let time = 0;
let isTicking = false;
let timer: Timer | undefined;
let wasAsked = false;

/**
 * The time of the clock, as it was at most ten milliseconds before this turn of the event loop began: for what is
 * shown and counted. To read the clock twice costs more than all else of an acquire and release.
 */
export function recently(): number {
  wasAsked = true;
  if (!isTicking) tick();
  return time;
}

/** Stops by itself, so that a process with nothing to do sleeps. */
function tick(): void {
  isTicking = wasAsked;
  wasAsked = false;
  time = now();
  timer = isTicking ? atRoot(() => afterIdly(EVERY_MS, tick)) : undefined;
}

// Its timer would fire when the new clock is where the old one was.
onWake(() => {
  cancel(timer);
  isTicking = false;
});
