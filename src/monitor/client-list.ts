import { printable } from '../printable.ts';

/** The connections of one name, as `CLIENT LIST` shows them. */
export interface NameFacts {
  /** Of `sp:<service>:<pool>:<pid>` what stands before the process, so that all processes are one row; else the whole name. */
  readonly name: string;
  readonly connections: number;
  /** Opened within the last 10 s, and open still. */
  readonly grown: number;
  /** Opened within the last 2 s, and open still. */
  readonly fresh: number;
  /** That have sent nothing for 10 s. */
  readonly idle: number;
  /** Age of the oldest, in seconds. */
  readonly oldestS: number;
  /** That wait in a blocking command. */
  readonly blocked: number;
  /** With subscriptions. */
  readonly subscribed: number;
  /** Of the connection that has sent something last. */
  readonly lastCommand: string;
}

/** What one `CLIENT LIST` tells. */
export interface ClientList {
  readonly names: readonly NameFacts[];
  /** How many clients are newer than the one that was asked about. */
  readonly arrived: number;
  /** The highest id: servers count clients up. */
  readonly newestId: number;
}

const NO_NAME = '(no name)';
const GROWN_S = 10;
const FRESH_S = 2;
const IDLE_S = 10;

type Row = { -readonly [Fact in keyof NameFacts]: NameFacts[Fact] } & { leastIdleS: number };

/** Reads a `CLIENT LIST` in one pass; thousands of lines are usual. @param sinceId Clients with a higher id have arrived since. */
export function readClientList(text: string, sinceId: number): ClientList {
  const rows = new Map<string, Row>();
  // Thousands of connections have few names; each is made printable once.
  const byRawName = new Map<string, Row>();
  let arrived = 0;
  let newestId = sinceId;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    start = end + 1;
    if (!line.startsWith('id=')) continue;
    const id = Number(line.slice(3, line.indexOf(' ')));
    if (id > sinceId) arrived++;
    newestId = Math.max(newestId, id);
    const rawName = fieldOf(line, ' name=');
    const row = byRawName.get(rawName) ?? rowOf(nameOf(rawName), rows);
    byRawName.set(rawName, row);
    count(row, line);
  }
  return { names: [...rows.values()].map(({ leastIdleS: _, ...facts }) => facts), arrived, newestId };
}

function rowOf(name: string, rows: Map<string, Row>): Row {
  const known = rows.get(name);
  if (known) return known;
  const none = { connections: 0, grown: 0, fresh: 0, idle: 0, oldestS: 0, blocked: 0, subscribed: 0 };
  const row = { name, ...none, lastCommand: '', leastIdleS: Number.POSITIVE_INFINITY };
  rows.set(name, row);
  return row;
}

/** The process in names of this library, with its thread; what stands before it is the name of the row. */
const OF_PROCESS = /^(sp:.*):\d+(?:\.\d+)?$/;

function nameOf(raw: string): string {
  const name = printable(raw);
  return name === '' ? NO_NAME : (OF_PROCESS.exec(name)?.[1] ?? name);
}

function count(row: Row, line: string): void {
  const ageS = Number(fieldOf(line, ' age='));
  const idleS = Number(fieldOf(line, ' idle='));
  row.connections++;
  if (ageS < GROWN_S) row.grown++;
  if (ageS < FRESH_S) row.fresh++;
  if (idleS >= IDLE_S) row.idle++;
  row.oldestS = Math.max(row.oldestS, ageS);
  if (fieldOf(line, ' flags=').includes('b')) row.blocked++;
  if (SUBSCRIPTIONS.some((field) => Number(fieldOf(line, field)) > 0)) row.subscribed++;
  if (idleS >= row.leastIdleS) return;
  row.leastIdleS = idleS;
  row.lastCommand = printable(fieldOf(line, ' cmd='));
}

// Servers before version 7 have no ssub.
const SUBSCRIPTIONS = [' sub=', ' psub=', ' ssub='];

/** @param label As it stands in the line: a space before the name, an equals sign after it. */
function fieldOf(line: string, label: string): string {
  const at = line.indexOf(label);
  if (at < 0) return '';
  const begin = at + label.length;
  const end = line.indexOf(' ', begin);
  return line.slice(begin, end < 0 ? line.length : end);
}
