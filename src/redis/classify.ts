/**
 * How a command may travel. `shared`: with others on one connection. `exclusive`: alone, for it blocks. `refused`: only
 * by hand, on a lease of its own, for it changes the connection for whoever comes next.
 */
export type CommandKind = 'shared' | 'exclusive' | 'refused';

const BLOCKING = ['blpop', 'brpop', 'brpoplpush', 'blmove', 'blmpop', 'bzpopmin', 'bzpopmax', 'bzmpop'];

const REFUSED = [
  ...['multi', 'exec', 'discard', 'watch', 'unwatch'],
  ...['select', 'auth', 'hello', 'reset', 'quit', 'monitor', 'sync', 'psync'],
  ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe'],
  ...['wait', 'waitaof', 'readonly', 'readwrite', 'asking'],
];

const BY_NAME = new Map<string, CommandKind>([
  ...BLOCKING.map((name) => [name, 'exclusive'] as const),
  ...REFUSED.map((name) => [name, 'refused'] as const),
]);

const HARMLESS_CLIENT = new Set(['info', 'id', 'list', 'kill', 'getname']);

/** @param name In any case. @param args As given to ioredis: flat, or in arrays. */
export function classify(name: string, args: readonly unknown[]): CommandKind {
  const command = name.toLowerCase();
  if (command === 'xread' || command === 'xreadgroup') return blocksAt(args) < 0 ? 'shared' : 'exclusive';
  if (command === 'client') return HARMLESS_CLIENT.has(word(args.flat()[0])) ? 'shared' : 'refused';
  return BY_NAME.get(command) ?? 'shared';
}

/**
 * How long the server may keep a command before it answers, in milliseconds: 0 for what does not block, `Infinity`
 * for a blocking command without a timeout.
 */
export function blocksForMs(name: string, args: readonly unknown[]): number {
  const command = name.toLowerCase();
  if (classify(command, args) !== 'exclusive') return 0;
  const flat = args.flat();
  if (command.startsWith('xread')) return orForEver(Number(flat[blocksAt(args) + 1]));
  const timeout = command === 'blmpop' || command === 'bzmpop' ? flat[0] : flat.at(-1);
  return orForEver(Number(timeout) * 1_000);
}

function orForEver(ms: number): number {
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
}

/** Where BLOCK stands among the options, -1 when it does not; a stream may well be called `block`. */
function blocksAt(args: readonly unknown[]): number {
  const words = args.flat().map(word);
  const place = words.indexOf('block');
  const streams = words.indexOf('streams');
  return place >= 0 && (streams < 0 || place < streams) ? place : -1;
}

function word(value: unknown): string {
  return String(value).toLowerCase();
}
