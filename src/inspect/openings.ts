import { IOREDIS_CONNECT } from '../channels.ts';
import { now } from '../clock.ts';
import { passesThrough, placeOf, stackOf } from '../pool/sampler.ts';

/** A line of code that opens connections of ioredis without a pool: a client of its own, a queue, a worker. */
export interface OpeningFacts {
  readonly site: string;
  /** As that of a lease. */
  readonly stack: readonly string[];
  /** The server of the last one, as host and port, or as the path of a Unix socket. */
  readonly server: string;
  /** How many it has opened since somebody began to look. */
  readonly opened: number;
  /** How many of them in the last 10 s, at most 100. */
  readonly grown: number;
  /** How long ago the last one was opened, in milliseconds. */
  readonly lastMs: number;
}

interface Place {
  readonly stack: readonly string[];
  server: string;
  opened: number;
  /** When the newest were opened. */
  times: readonly number[];
}

const GROWN_MS = 10_000;
const MOST_TIMES = 100;
/** Lines are few, but code that is made at run time may have any number. */
const MOST_PLACES = 1_000;
/** Between the line that wants a queue or a worker and the one that connects lie this many at the most. */
const DEPTH = 40;

/** What ioredis publishes. */
interface Connecting {
  readonly serverAddress?: string;
  readonly serverPort?: number;
}

/** By the line; the one that has opened last comes last. */
const places = new Map<string, Place>();
let isWatching = false;

/** From the first call on every opening is noted. */
export function watchOpenings(): void {
  if (!isWatching) IOREDIS_CONNECT.start.subscribe((message) => note(message as Connecting));
  isWatching = true;
}

/** Those that did so last come first. */
export function openings(): OpeningFacts[] {
  const time = now();
  return [...places].reverse().map(([site, { stack, server, opened, times }]) => {
    const grown = times.filter((at) => time - at < GROWN_MS).length;
    return { site, stack, server, opened, grown, lastMs: time - (times.at(-1) ?? time) };
  });
}

function note({ serverAddress, serverPort }: Connecting): void {
  const stack = stackHere();
  const site = placeOf(stack[0]);
  // Nobody's line connects again what was lost, or opens what a pool opens, which tells of it itself.
  if (site === undefined) return;
  const place = places.get(site) ?? { stack, server: '', opened: 0, times: [] };
  // At a Unix socket there is no port.
  place.server = serverPort === undefined ? `${serverAddress}` : `${serverAddress}:${serverPort}`;
  place.opened++;
  place.times = [...place.times, now()].slice(-MOST_TIMES);
  places.delete(site);
  places.set(site, place);
  const [oldest] = places.keys();
  if (places.size > MOST_PLACES && oldest !== undefined) places.delete(oldest);
}

/** The user's own lines, without those of packages; none where a pool opens. */
function stackHere(): readonly string[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  try {
    const error = new Error('opened here');
    // The `create` of a pool is the user's own, too.
    if (passesThrough('pool/factory', error)) return [];
    return stackOf(error).filter((line) => !line.includes('node_modules'));
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
