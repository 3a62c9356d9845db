import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { blocksForMs, type CommandKind, classify } from '../../src/redis/classify.ts';
import { COMMANDS } from '../../src/redis/ioredis.ts';

interface CommandTable {
  readonly list: readonly string[];
  hasFlag(name: string, flag: string): boolean;
}

/** The table of commands that ioredis itself goes by; the newest one, whatever ioredis the test runs against. */
const table: CommandTable = createRequire(createRequire(import.meta.url).resolve('ioredis'))('@ioredis/commands');

const BLOCKING = 'blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin'.split(' ');
const REFUSED =
  'asking auth discard exec hello monitor multi psubscribe psync punsubscribe quit readonly readwrite replconf reset select ssubscribe subscribe sunsubscribe sync unsubscribe unwatch wait waitaof watch'.split(
    ' ',
  );
/** What they are without arguments; with them, see below. */
const BY_ARGUMENTS = ['client', 'script', 'himport', 'xread', 'xreadgroup'];

const always = [...new Set([...COMMANDS, ...table.list])].filter((name) => !BY_ARGUMENTS.includes(name)).map((name) => [name] as const);

const byArguments: readonly (readonly [CommandKind, string, readonly unknown[]])[] = [
  ['shared', 'client', ['INFO']],
  ['shared', 'client', ['id']],
  ['shared', 'client', ['LIST', 'TYPE', 'normal']],
  ['shared', 'client', ['KILL', 'ID', 5]],
  ['shared', 'CLIENT', [Buffer.from('GetName')]],
  ['shared', 'client', [['getname']]],
  ['refused', 'client', ['SETNAME', 'list']],
  ['refused', 'client', ['REPLY', 'OFF']],
  ['refused', 'client', ['TRACKING', 'ON']],
  ['refused', 'client', ['NO-EVICT', 'ON']],
  ['refused', 'client', ['CACHING', 'YES']],
  ['refused', 'client', ['PAUSE', 100]],
  ['refused', 'client', [['setname', 'x']]],
  ['refused', 'client', []],
  ['shared', 'script', ['LOAD', 'return 1']],
  ['refused', 'script', ['DEBUG', 'YES']],
  ['shared', 'himport', ['SET', 'key', 'fields', 1]],
  ['refused', 'himport', ['PREPARE', 'fields', 'a']],
  ['shared', 'xread', ['STREAMS', 's', '0']],
  ['shared', 'xread', ['COUNT', 2, 'STREAMS', 's', '0']],
  ['shared', 'xread', ['STREAMS', 'block', '0']],
  ['shared', 'xread', [['STREAMS', 'block', '0']]],
  ['exclusive', 'xread', ['BLOCK', 0, 'STREAMS', 's', '$']],
  ['exclusive', 'XRead', ['COUNT', 1, 'block', '5', 'streams', 'block', '$']],
  ['exclusive', 'xread', [[Buffer.from('BLOCK'), 10], 'STREAMS', ['s', '$']]],
  ['shared', 'xreadgroup', ['GROUP', 'g', 'c', 'STREAMS', 's', '>']],
  ['shared', 'xreadgroup', ['GROUP', 'block', 'streams', 'STREAMS', 's', '>']],
  ['exclusive', 'xreadgroup', ['GROUP', 'streams', 'block', 'COUNT', 1, 'NOACK', 'BLOCK', 7, 'STREAMS', 's', '>']],
];

describe('classify', () => {
  it.each(always)('knows %s, in any case', (name) => {
    const kind = BLOCKING.includes(name) ? 'exclusive' : REFUSED.includes(name) ? 'refused' : 'shared';
    expect(classify(name, ['key', 1])).toBe(kind);
    expect(classify(name.toUpperCase(), [['key', 1]])).toBe(kind);
  });

  it.each(byArguments)('says %s of %s %j', (kind, name, args) => {
    expect(classify(name, args)).toBe(kind);
  });

  it('shares nothing that blocks, by the table of ioredis', () => {
    const blocking = table.list.filter((name) => table.hasFlag(name, 'blocking'));
    expect(blocking).toContain('blpop');
    expect(blocking.filter((name) => classify(name, ['BLOCK', 0]) === 'shared')).toEqual([]);
  });
});

describe('blocksForMs', () => {
  it.each<readonly [number, string, readonly unknown[]]>([
    [0, 'get', ['key']],
    [0, 'xread', ['STREAMS', 'block', '0']],
    [1_500, 'blpop', ['a', 'b', 1.5]],
    [2_000, 'BRPOP', [['a', 'b'], '2']],
    [2_000, 'brpoplpush', ['a', 'b', 2]],
    [3_000, 'blmove', ['a', 'b', 'LEFT', 'RIGHT', Buffer.from('3')]],
    [4_000, 'blmovem', ['a', 'b', 'LEFT', 'LEFT', 4, 'COUNT', 9, 'OBO']],
    [5_000, 'blmpop', [5, 1, 'a', 'LEFT', 'COUNT', 7]],
    [5_000, 'bzmpop', [5, 1, 'a', 'MIN']],
    [1_000, 'bzpopmin', ['a', 1]],
    [1_000, 'bzpopmax', ['a', 1]],
    [250, 'wait', [1, 250]],
    [250, 'waitaof', [1, 1, 250]],
    [Number.POSITIVE_INFINITY, 'blpop', ['a', 0]],
    [Number.POSITIVE_INFINITY, 'wait', [1, 0]],
    [Number.POSITIVE_INFINITY, 'xread', ['BLOCK', 0, 'STREAMS', 's', '$']],
    [700, 'xread', ['COUNT', 3, 'BLOCK', 700, 'STREAMS', 's', '$']],
    [800, 'xreadgroup', ['GROUP', 'block', 'c', 'BLOCK', '800', 'STREAMS', 's', '>']],
  ])('is %d for %s %j', (ms, name, args) => {
    expect(blocksForMs(name, args)).toBe(ms);
  });
});
