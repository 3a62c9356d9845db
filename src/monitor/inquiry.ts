import { get, type RequestOptions } from 'node:http';
import type { LeakFacts } from '../inspect/leaks.ts';
import type { OpeningFacts } from '../inspect/openings.ts';
import type { PoolReport, ProcessInspection } from '../inspect/process.ts';
import type { LeaseFacts, WaiterFacts } from '../pool/report.ts';

/** One question to one process. */
export interface Request {
  readonly answer: Promise<ProcessInspection>;
  /** The answer rejects, unless it is there. */
  cancel(): void;
}

/** What this reads; a process with another version of the library may write another. */
const FORMAT = 1;
/** More than thousands of scopes and leases need. */
const MOST_BYTES = 16 * 1024 * 1024;

/** Asks a process what it has open. @param address The path of its socket, or a URL. */
export function ask(address: string): Request {
  const end = new AbortController();
  const answer = fetchText({ ...whereIs(address), headers: { connection: 'close' }, signal: end.signal }).then(readInspection);
  // It may fail after nobody waits for it any more.
  answer.catch(() => {});
  return { answer, cancel: () => end.abort() };
}

function whereIs(address: string): RequestOptions {
  // A URL may begin with HTTP: in capitals, too.
  if (address.startsWith('/')) return { socketPath: address, path: '/', host: 'localhost' };
  const { hostname, port } = new URL(address);
  return { host: hostname.replace(/^\[|\]$/g, ''), port, path: '/' };
}

function fetchText(options: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('error', reject);
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MOST_BYTES) request.destroy(new Error('it answers with more than can be shown'));
      });
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`it answers with ${response.statusCode}`))));
    });
    request.on('error', reject);
  });
}

/** Its texts are whatever the process has made them of. @throws Error */
function readInspection(text: string): ProcessInspection {
  const inspection = parse(text);
  const format = (inspection as { format?: unknown } | null)?.format;
  if (format === undefined) throw new Error('it answers with something else than what a process has open');
  if (format !== FORMAT) throw new Error(`it speaks another format (${String(format)}); use the monitor of its version of scoped-pool`);
  if (!isInspection(inspection)) throw new Error('it answers with something else than what a process has open');
  return inspection;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Loose<T> = { readonly [Member in keyof T]?: unknown };

/** Whether all is there that is shown, and of its kind: who speaks HTTP there may be somebody else. */
function isInspection(value: unknown): value is ProcessInspection {
  const { id, pid, thread, uptimeMs, script, version, roots, openings, leaks } = value as Loose<ProcessInspection>;
  const isProcess = [pid, thread, uptimeMs].every(Number.isFinite) && [id, script, version].every(isText);
  return isProcess && areAll(roots, ({ pools }) => areAll(pools, isReport)) && areAll(openings, isOpening) && areAll(leaks, isLeak);
}

function isOpening({ site, server, stack, opened, grown, lastMs }: Loose<OpeningFacts>): boolean {
  return [site, server].every(isText) && areTexts(stack) && [opened, grown, lastMs].every(Number.isFinite);
}

function isLeak({ pool, scope, site = '', stack, leaked, grown, lastMs }: Loose<LeakFacts>): boolean {
  return [pool, scope, site].every(isText) && areTexts(stack) && [leaked, grown, lastMs].every(Number.isFinite);
}

function isReport({ pool, scope, stats, health, connections, waiters }: Loose<PoolReport>): boolean {
  const isPool = [pool, scope].every(isText) && isObject(stats) && areStats(stats) && isObject(health) && isHealth(health);
  return isPool && areAll(connections, ({ leases }) => areAll(leases, isHold)) && areAll(waiters, isHold);
}

function areStats({ inUse, idle, creating, max, pending, timeouts, leaked }: Loose<PoolReport['stats']>): boolean {
  // JSON has no number for no limit.
  return [inUse, idle, creating, max ?? 0, pending, timeouts, leaked].every(Number.isFinite);
}

function isHealth({ state, error = '' }: Loose<PoolReport['health']>): boolean {
  return [state, error].every(isText);
}

function isHold({
  heldMs,
  waitedMs,
  exclusive,
  scope,
  site = '',
  stack,
}: Loose<Record<keyof LeaseFacts | keyof WaiterFacts, unknown>>): boolean {
  return Number.isFinite(heldMs ?? waitedMs) && typeof exclusive === 'boolean' && [scope, site].every(isText) && areTexts(stack);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

function areAll(value: unknown, isRight: (each: Readonly<Record<string, unknown>>) => boolean): boolean {
  return Array.isArray(value) && value.every((each) => isObject(each) && isRight(each));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
