// What the monitor sends to its page. One side runs in Node, the other one in a browser: this imports nothing.

/** More rows of one table, and entries of the log, nobody reads. */
export const MOST_ROWS = 200;
export const MOST_ENTRIES = 200;
/** An hour, at one a second. */
export const MOST_POINTS = 3_600;
/** So often something is sent at the least, in milliseconds: longer silence means that the monitor stands still. */
export const BEAT_MS = 3_000;

/** A moment of the charts. Nulls are a gap: the server could not be reached. */
export type Point = readonly [
  /** Milliseconds since 1970. */
  atMs: number,
  /** Connections opened since the monitor connected. */
  opened: number | null,
  clients: number | null,
  blocked: number | null,
];

/** A line of the log. */
export interface Entry {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly mood: 'good' | 'bad' | 'neutral';
  readonly text: string;
}

/** The connections of one name. */
export interface NameRow {
  readonly name: string;
  readonly connections: number;
  readonly grown: number;
  readonly fresh: number;
  readonly idle: number;
  readonly oldestS: number;
  readonly blocked: number;
  readonly subscribed: number;
  readonly lastCommand: string;
}

/** A pool of a root scope, in one process. */
export interface PoolRow {
  /** Its number; `4711.2` is a worker thread. */
  readonly process: string;
  readonly pool: string;
  readonly scope: string;
  readonly inUse: number;
  readonly idle: number;
  readonly pending: number;
  /** Since the pool was opened: acquires that waited in vain, and leases that were not released. */
  readonly timeouts: number;
  readonly leaked: number;
  /** Null for no limit. */
  readonly max: number | null;
  readonly health: 'up' | 'degraded' | 'down' | 'unknown';
  /** Empty when nothing has failed. */
  readonly error: string;
}

/** A line of code that holds, waits or leaks. */
export interface PlaceRow {
  readonly pool: string;
  /** Empty for those that were not recorded. */
  readonly site: string;
  readonly stack: readonly string[];
  /** The oldest of those who hold, and of those who wait, each in a line. */
  readonly holders: readonly string[];
  readonly leases: number;
  readonly grown: number;
  readonly waiting: number;
  readonly leaked: number;
  readonly oldestMs: number;
  readonly scope: string;
  readonly pid: number;
}

/** A line of code that opens connections without a pool. */
export interface OpeningRow {
  readonly site: string;
  readonly stack: readonly string[];
  readonly server: string;
  readonly opened: number;
  readonly grown: number;
  /** How long ago the last was. */
  readonly lastMs: number;
  readonly pid: number;
}

/** Some of the rows that there are. */
export interface Rows<R> {
  readonly rows: readonly R[];
  readonly count: number;
}

/** What there is at one moment. */
export interface Shot {
  readonly server: string;
  readonly version: string;
  readonly watchedMs: number;
  readonly verdict: { readonly trend: 'watching' | 'plateau' | 'growing'; readonly text: string };
  readonly opened: number;
  readonly openedPerSecond: number;
  readonly unseenPerSecond: number;
  readonly clients: number;
  /** Null where the server does not tell. */
  readonly maxclients: number | null;
  readonly blocked: number;
  readonly rejected: number;
  readonly rejectedMeanwhile: number;
  readonly names: Rows<NameRow>;
  /** Which processes say what they have open, and which could not be asked, and why. */
  readonly processes: readonly string[];
  readonly failures: readonly string[];
  readonly pools: Rows<PoolRow>;
  readonly places: Rows<PlaceRow>;
  readonly openings: Rows<OpeningRow>;
}

/** What an event holds: `all` begins anew, `news` adds to it, `beat` holds nothing. */
export interface News {
  readonly points: readonly Point[];
  /** The oldest first. */
  readonly entries: readonly Entry[];
  /** None before the first, and when it has not changed. */
  readonly shot?: Shot | undefined;
  /** What is to be said beside it, such as that the connection is lost; else empty. */
  readonly note: string;
  /** Whether the monitor has no connection to the server: what is shown was so before. */
  readonly isLost: boolean;
}
