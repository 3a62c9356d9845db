import { parseArgs } from 'node:util';
import { InvalidOptionError } from '../errors.ts';
import { knownNames } from '../options.ts';
import { CONNECTION_CHECKS } from '../redis/options.ts';
import { windowMsOf } from './history.ts';
import { USUAL_PORT } from './web/server.ts';

/** What the monitor was asked for. */
export interface Arguments {
  readonly url: string;
  /** Addresses of processes to be asked what they have open, beside those that are found. */
  readonly processes: readonly string[];
  readonly once: boolean;
  readonly json: boolean;
  /** Whether it is shown in a browser. */
  readonly web: boolean;
  /** On which port of 127.0.0.1, 0 for any; undefined for the usual one. */
  readonly port: number | undefined;
  readonly intervalMs: number;
  /** How long to watch before the verdict; undefined to watch until somebody ends it. */
  readonly expectPlateauMs: number | undefined;
}

const DEFAULT_URL = 'redis://127.0.0.1:6379';
const INTERVAL = { least: 100, most: 60_000, usual: 1_000 };
const MOST_SECONDS = 86_400;
const WHERE = 'called wrongly';

export const USAGE = `usage: scoped-pool monitor [url] [--web [--port N]] [--once] [--json] [--interval MS] [--expect-plateau SECONDS]
                          [--process ADDRESS]...

  url                       redis://user:password@host:port, or rediss: for TLS; default: REDIS_URL, else ${DEFAULT_URL}
  --web                     shows it in a browser: prints the address of a page that only this machine can open
  --port N                  of that page, 0 for any that is free; default: ${USUAL_PORT}, or any where that is taken
  --once                    shows what is there now, and ends
  --json                    one line of JSON for each sample
  --interval MS             between two samples: from ${INTERVAL.least} to ${INTERVAL.most}, default ${INTERVAL.usual}
  --expect-plateau SECONDS  watches so long, then ends: with 1 when connections go on being opened, else with 0
  --process ADDRESS         also asks this process what it holds: path of a socket, or http://127.0.0.1:port/; may be repeated.
                            Those of this user are found without, if they are started so:
                            node --import scoped-pool/inspect/register app.js, or call serveInspection()
  --help                    prints this

In a terminal: p pauses, s sorts by growth, connections or age, l shows who holds connections line by line, q quits.
Ends with 0 when all is well, 1 when connections grow, 2 when it is called wrongly, 3 when the server cannot be watched.`;

const OPTIONS = {
  web: { type: 'boolean', default: false },
  port: { type: 'string' },
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  interval: { type: 'string' },
  'expect-plateau': { type: 'string' },
  process: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @returns `'help'` where that is what is asked for. @throws InvalidOptionError */
export function readArguments(args: readonly string[], env: NodeJS.ProcessEnv): Arguments | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [given, ...more] = positionals;
  // Of the value nothing is shown: it may be a URL with a password.
  if (more.length > 0) throw wrong('url', 'one URL', positionals.slice(1), 'secret');
  const intervalMs = numberOf('--interval', values.interval, { ...INTERVAL, unit: 'milliseconds' }) ?? INTERVAL.usual;
  const least = windowMsOf(intervalMs) / 1_000;
  const seconds = numberOf('--expect-plateau', values['expect-plateau'], { least, most: MOST_SECONDS, unit: 'seconds' });
  if (values.once && seconds !== undefined) throw wrong('--once', 'left out beside --expect-plateau', true);
  const expectPlateauMs = seconds === undefined ? undefined : seconds * 1_000;
  const { once, json, web, process: processes } = values;
  for (const address of processes) if (!isAddress(address)) throw wrong('--process', ADDRESS, address);
  return { url: urlOf(given, env), processes, once, json, web, port: portOf(values), intervalMs, expectPlateauMs };
}

const MOST_PORT = 65_535;

/** @throws InvalidOptionError where it, or what stands beside --web, has no meaning. */
function portOf({
  web,
  port,
  once,
  json,
}: Pick<Arguments, 'web' | 'once' | 'json'> & { readonly port?: string | undefined }): number | undefined {
  if (web && (once || json)) throw wrong(once ? '--once' : '--json', 'left out beside --web', true);
  if (port === undefined) return undefined;
  if (!web) throw wrong('--port', 'left out, or given beside --web', port);
  if (/^\d{1,5}$/.test(port) && Number(port) <= MOST_PORT) return Number(port);
  throw wrong('--port', `a whole number from 0 to ${MOST_PORT}`, port);
}

function parse(args: readonly string[]) {
  const { tokens, values, positionals } = parseArgs({ args: [...args], options: OPTIONS, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const known = Object.hasOwn(OPTIONS, token.name) ? OPTIONS[token.name as keyof typeof OPTIONS] : undefined;
    const names = Object.keys(OPTIONS).map((name) => `--${name}`);
    if (!known) throw wrong('an option', `one of those that are there: ${knownNames(token.rawName, names)}`, token.rawName);
    if (known.type === 'boolean' && token.value !== undefined) throw wrong(token.rawName, 'given without a value', token.value);
  }
  const text = (value: unknown) => (value === true ? '' : (value as string | undefined));
  return {
    positionals,
    values: {
      ...{ once: values.once === true, json: values.json === true, help: values.help === true, web: values.web === true },
      ...{ port: text(values.port), interval: text(values.interval), 'expect-plateau': text(values['expect-plateau']) },
      process: [values.process ?? []].flat().map((value) => text(value) ?? ''),
    },
  };
}

interface Range {
  readonly least: number;
  readonly most: number;
  readonly unit: string;
}

function numberOf(option: string, text: string | undefined, { least, most, unit }: Range): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && value >= least && value <= most) return value;
  throw wrong(option, `${unit} from ${least} to ${most}`, text);
}

const ADDRESS = 'the path of a socket, which begins with /, or a URL of this machine like http://127.0.0.1:7070/';
/** Whoever answers elsewhere says what it likes; a port of another machine is forwarded to this one. */
const OWN_HOSTS = ['127.0.0.1', 'localhost', '[::1]'];

function isAddress(text: string): boolean {
  if (text.startsWith('/')) return !text.includes('\0');
  if (!URL.canParse(text)) return false;
  const { origin, protocol, hostname, href } = new URL(text);
  return protocol === 'http:' && OWN_HOSTS.includes(hostname) && href === `${origin}/`;
}

function urlOf(given: string | undefined, { REDIS_URL }: NodeJS.ProcessEnv): string {
  const url = given ?? (REDIS_URL || DEFAULT_URL);
  const name = given === undefined ? 'REDIS_URL' : 'url';
  // It may hold a password, and what is wrong with it may be that it has no form in which one would be found.
  const expected = CONNECTION_CHECKS.url(url);
  if (expected !== undefined) throw wrong(name, expected, url, 'secret');
  return url;
}

function wrong(option: string, expected: string, actual: unknown, secret?: 'secret'): InvalidOptionError {
  return new InvalidOptionError({ where: WHERE, option, expected, actual, secret: secret !== undefined });
}
