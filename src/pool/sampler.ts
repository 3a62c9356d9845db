import { CHANNELS } from '../channels.ts';
import { shared } from '../context.ts';

/** How many leases of a pool are sampled before sampling becomes thin. */
const FIRST = 100;
/** After those, one in so many. */
const EVERY = 512;

/**
 * Decides for which leases the acquiring line of code is recorded. A stack costs 3 µs on Node 20, more than all else
 * of an acquire, so not for all of them: for the first leases of a pool, a few of the later ones, and every one after a
 * leak was seen, or while somebody looks, or, where leaks are looked for, while somebody waits.
 */
export class Sampler {
  readonly #seeksLeaks: boolean;
  #count = 0;
  #always = false;

  /** @param seeksLeaks While somebody waits, every lease is worth its stack. */
  constructor(seeksLeaks = false) {
    this.#seeksLeaks = seeksLeaks;
  }

  /** @returns an error whose stack shows the caller, or nothing. */
  sample(crowded: boolean): Error | undefined {
    this.#count++;
    const isLookedFor = this.#always || shared.look !== undefined || (crowded && this.#seeksLeaks);
    const isWanted = isLookedFor || this.#count <= FIRST || this.#count % EVERY === 0;
    return isWanted ? stackHere() : undefined;
  }

  /** A leak was seen: from now on every lease is worth its stack. */
  sampleAll(): void {
    this.#always = true;
  }
}

/** How many calls tracing puts between whoever acquires and the stack, each store that is bound to it included. */
const TRACING_CALLS = 8;

/** An error whose stack shows who called. The calls of tracing take no lines from it; to record more costs as much again. */
export function stackHere(): Error {
  if (!CHANNELS.acquire.hasSubscribers) return new Error('acquired here');
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = stackTraceLimit + TRACING_CALLS;
  try {
    return new Error('acquired here');
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The first line of the user's own code in a stack, as `file:line:column`. */
export function siteOf(sample: Error | undefined): string | undefined {
  return placeOf(linesOf(sample).find((line) => !isOurs(line)));
}

/** The `file:line:column` of a line of a stack. */
export function placeOf(line: string | undefined): string | undefined {
  // A folder may have parentheses in its name, too: only those at the end of the line are around the place.
  return line?.replace(/^async /, '').replace(/^.*? \((.*)\)$/, '$1');
}

/** The lines of a stack that are the user's own code, the innermost first: `function (file:line:column)`. */
export function stackOf(sample: Error | undefined): string[] {
  return linesOf(sample).filter((line) => !isOurs(line));
}

/** Whether a stack leads through a file of the library, as `pool/factory`. */
export function passesThrough(file: string, sample: Error): boolean {
  return linesOf(sample).some((line) => OURS.some((folder) => line.includes(`${folder}${file}.`)));
}

const POSITION = /:\d+\)?$/;

function linesOf(sample: Error | undefined): string[] {
  const stack: unknown = sample?.stack;
  // A program may have made something else of all stacks: Error.prepareStackTrace.
  const lines = typeof stack === 'string' ? stack.split('\n').slice(1) : [];
  // Without those of no file: `Array.map (<anonymous>)`.
  return lines.filter((line) => POSITION.test(line)).map((line) => line.trim().replace(/^at /, ''));
}

/** Undefined in a bundle of CommonJS: which lines are ours is not known there, and none is named. */
const here: string | undefined = import.meta.url;

// This file lies in <package>/<dist or src>/pool/; with source maps, what runs in dist shows as src.
const OURS = (here === undefined ? [] : ['..', '../../src/']).flatMap((path) => {
  const { href, pathname } = new URL(path, here);
  return [href, decodeURIComponent(pathname)];
});

function isOurs(line: string): boolean {
  return here === undefined || line.includes('node:') || OURS.some((folder) => line.includes(folder));
}
