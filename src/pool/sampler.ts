import { CHANNELS } from '../channels.ts';

/** How many leases of a pool are sampled before sampling becomes thin. */
const FIRST = 100;
/** After those, one in so many. */
const EVERY = 512;

/**
 * Decides for which leases the acquiring line of code is recorded. A stack costs 3 µs on Node 20, more than all else
 * of an acquire, so not for all of them: for the first leases of a pool, a few of the later ones, and every one after a
 * leak was seen, or, where leaks are looked for, while somebody waits.
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
    const isWanted = this.#always || (crowded && this.#seeksLeaks) || this.#count <= FIRST || this.#count % EVERY === 0;
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
  const lines = sample?.stack?.split('\n').slice(1) ?? [];
  const line = lines.find((candidate) => !isOurs(candidate));
  return line
    ?.trim()
    .replace(/^at (?:async )?(?:.*\()?/, '')
    .replace(/\)$/, '');
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
