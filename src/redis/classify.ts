import { show } from '../redact.ts';

/**
 * How a command may travel. `shared`: with others on one connection. `exclusive`: alone, for it blocks. `refused`: only
 * by hand, on a lease of its own, for it changes the connection for whoever comes next.
 */
export type CommandKind = 'shared' | 'exclusive' | 'refused';

/** Where a blocking command has its timeout, in seconds: the place among its arguments, -1 for the last. */
const TIMEOUT_AT = new Map([
  ...['blpop', 'brpop', 'brpoplpush', 'blmove', 'bzpopmin', 'bzpopmax'].map((name) => [name, -1] as const),
  ...['blmpop', 'bzmpop'].map((name) => [name, 0] as const),
  ['blmovem', 4],
]);

/**
 * They wait for replicas to have what this connection has written, which on a connection of somebody else means nothing;
 * their timeout, in milliseconds, comes last.
 */
const WAITING = ['wait', 'waitaof'];

const REFUSED = new Set([
  ...WAITING,
  ...['multi', 'exec', 'discard', 'watch', 'unwatch'],
  ...['select', 'auth', 'hello', 'reset', 'quit', 'monitor', 'sync', 'psync', 'replconf'],
  ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe'],
  ...['readonly', 'readwrite', 'asking'],
]);

/** Commands of which only these subcommands leave the connection as it is. */
const HARMLESS = new Map([
  ['client', ['info', 'id', 'list', 'kill', 'getname']],
  ['script', ['exists', 'flush', 'help', 'kill', 'load']],
  ['himport', ['set']],
]);

/** No command is in both lists. */
const BY_NAME = new Map<string, CommandKind>([
  ...[...TIMEOUT_AT.keys()].map((name) => [name, 'exclusive'] as const),
  ...[...REFUSED].map((name) => [name, 'refused'] as const),
]);

/** What is wrong with what was given to `call()` as the name of a command; ioredis throws a TypeError, too. */
export function nameProblem(pool: string, name: unknown): Error | undefined {
  if (typeof name === 'string' && name !== '') return undefined;
  return new TypeError(`pool "${pool}": call() takes the name of a command first, as a text: call('GET', 'key'); got ${show(name)}`);
}

/** @param name In any case. @param args As given to ioredis: flat, or in arrays. */
export function classify(name: string, args: readonly unknown[]): CommandKind {
  const command = name.toLowerCase();
  const kind = BY_NAME.get(command);
  if (kind) return kind;
  if (command === 'xread' || command === 'xreadgroup') return blocksAt(args) < 0 ? 'shared' : 'exclusive';
  const harmless = HARMLESS.get(command);
  return !harmless || harmless.includes(word(args.flat()[0])) ? 'shared' : 'refused';
}

/**
 * How long the server may keep a command before it answers, in milliseconds: 0 for what does not block, `Infinity`
 * for a blocking command without a timeout.
 */
export function blocksForMs(name: string, args: readonly unknown[]): number {
  const command = name.toLowerCase();
  const flat = args.flat();
  if (WAITING.includes(command)) return orForEver(Number(flat.at(-1)));
  const place = TIMEOUT_AT.get(command);
  if (place !== undefined) return orForEver(Number(flat.at(place)) * 1_000);
  if (command !== 'xread' && command !== 'xreadgroup') return 0;
  const block = blocksAt(flat);
  return block < 0 ? 0 : orForEver(Number(flat[block + 1]));
}

function orForEver(ms: number): number {
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
}

/** How many arguments follow the options of XREAD and XREADGROUP. */
const FOLLOWED_BY = new Map([
  ['count', 1],
  ['group', 2],
]);

/** Where BLOCK stands among the options, -1 when it does not; a stream or a group may well be called `block`. */
function blocksAt(args: readonly unknown[]): number {
  const words = args.flat().map(word);
  for (let place = 0; place < words.length; place++) {
    const option = words[place] as string;
    if (option === 'block') return place;
    if (option === 'streams') return -1;
    place += FOLLOWED_BY.get(option) ?? 0;
  }
  return -1;
}

function word(value: unknown): string {
  return String(value).toLowerCase();
}
