import { IOREDIS_CONNECT } from '../channels.ts';
import { passesThrough, placeOf, stackOf } from '../pool/sampler.ts';
import { Tally } from './tally.ts';

/** A line of code that opens connections of ioredis without a pool: a client of its own, a queue, a worker. */
export interface OpeningFacts {
  readonly site: string;
  /** As that of a lease; of several ways to the line the one that was gone most often of late. */
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

/** Between the line that wants a queue or a worker and the one that connects lie this many at the most. */
const DEPTH = 40;

/** What ioredis publishes. */
interface Connecting {
  readonly serverAddress?: string;
  readonly serverPort?: number;
}

const opened = new Tally<Pick<OpeningFacts, 'site' | 'server'>>();
let isWatching = false;

/** From the first call on every opening is noted. */
export function watchOpenings(): void {
  if (!isWatching) IOREDIS_CONNECT.start.subscribe((message) => note(message as Connecting));
  isWatching = true;
}

/** Those that did so last come first. */
export function openings(): OpeningFacts[] {
  return opened.all.map(({ facts, stack, count, grown, lastMs }) => ({ ...facts, stack, opened: count, grown, lastMs }));
}

function note({ serverAddress, serverPort }: Connecting): void {
  const stack = stackHere();
  const site = placeOf(stack[0]);
  // Nobody's line connects again what was lost, or opens what a pool opens, which tells of it itself.
  if (site === undefined) return;
  // At a Unix socket there is no port.
  const server = serverPort === undefined ? `${serverAddress}` : `${serverAddress}:${serverPort}`;
  opened.note(site, stack, { site, server });
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
