import { parseArgs } from 'node:util';

/** What the demo was asked for. */
export interface Arguments {
  /** How long each phase runs. */
  readonly seconds: number;
  readonly json: boolean;
  readonly help: boolean;
}

/** The arguments make no sense; the message says which, and what would. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const SECONDS = { least: 1, most: 60, usual: '3' };

export const USAGE = `usage: npm run demo -- [--seconds N] [--json]

  --seconds N   how long each of the six phases runs: a whole number from ${SECONDS.least} to ${SECONDS.most}, default ${SECONDS.usual}
  --json        ends with one line of JSON, alone on stdout; all else goes to stderr
  --help        prints this

REDIS_URL names the server to use; without it the demo starts one of its own.`;

/** @throws UsageError */
export function readArguments(args: readonly string[]): Arguments {
  const { seconds, json, help } = parse(args);
  return { seconds: secondsOf(seconds), json, help };
}

function parse(args: readonly string[]) {
  checkSecondsOf(args);
  const options = {
    seconds: { type: 'string', default: SECONDS.usual },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** A value that begins with a dash is one that Node takes for another option. */
function checkSecondsOf(args: readonly string[]): void {
  const option = args.indexOf('--seconds');
  if (option < 0) return;
  const value = args[option + 1];
  if (value === undefined || value.startsWith('-')) throw wrongSeconds(value);
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  const isInRange = /^\d+$/.test(text) && seconds >= SECONDS.least && seconds <= SECONDS.most;
  if (!isInRange) throw wrongSeconds(text);
  return seconds;
}

function wrongSeconds(text: string | undefined): UsageError {
  const got = text === undefined ? 'nothing' : `"${text}"`;
  return new UsageError(`--seconds must be a whole number from ${SECONDS.least} to ${SECONDS.most}; got ${got}`);
}
