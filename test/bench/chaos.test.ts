import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { Redis } from 'ioredis';
import { beforeEach, describe, expect, it } from 'vitest';
import { Account, QUEUE } from '../../bench/chaos/account.ts';
import { type Findings, failureOf } from '../../bench/chaos/verdict.ts';
import { RedisConnectionError } from '../../src/index.ts';
import { useTools } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

describe('the verdict of the chaos bench', () => {
  const level = { heapMb: 20, sockets: 13 };
  const good: Findings = { zeros: { confirmedMissing: 0, pendingForever: 0 }, maxOpen: 13, limit: 13, early: level, late: level };

  it('finds nothing when all zeros are zeros and nothing has grown', () => {
    expect(failureOf(good)).toBeUndefined();
    expect(failureOf({ ...good, late: { heapMb: 40, sockets: 0 } })).toBeUndefined();
  });

  it.each<[string, Partial<Findings>]>([
    ['confirmedMissing: 2', { zeros: { ...good.zeros, confirmedMissing: 2 } }],
    ['confirmedMissing: 2, pendingForever: 1', { zeros: { confirmedMissing: 2, pendingForever: 1 } }],
    ['maxOpen above 13: 14', { maxOpen: 14 }],
    ['sockets above 13: 14', { late: { ...level, sockets: 14 } }],
    ['heapMb grew from 20 to 40.1', { late: { ...level, heapMb: 40.1 } }],
  ])('says «%s»', (said, wrong) => {
    expect(failureOf({ ...good, ...wrong })).toBe(said);
  });
});

describe('the account of the chaos bench', () => {
  const redis = useRedis();
  const unknown = () => Promise.reject(new RedisConnectionError('chaos', 'incr', 'unknown', new Error('gone')));
  const notSent = () => Promise.reject(new RedisConnectionError('chaos', 'incr', 'not-sent', new Error('gone')));
  let account: Account;

  beforeEach(async () => {
    const { observer } = redis();
    await observer.flushall();
    account = new Account();
    for (let n = 0; n < 1_500; n++) await account.enter({ kind: 'count', key: 'counter' }, observer.incr('counter'));
    for (const id of ['1', '2', '3']) await account.enter({ kind: 'push', key: 'list', id }, observer.rpush('list', id));
    await account.enter({ kind: 'push', key: QUEUE, id: '4' }, observer.rpush(QUEUE, '4'));
    await account.enter({ kind: 'pop' }, observer.blpop(QUEUE, 1));
    await account.enter({ kind: 'put', key: 'key' }, observer.set('key', 1));
  });

  const audit = () => account.audit(redis().observer);
  const right = { confirmedMissing: 0, executedTwice: 0, failedButExecuted: 0 };

  it('agrees with the server when everybody was told the truth', async () => {
    await account.enter({ kind: 'count', key: 'counter' }, unknown());
    await account.enter({ kind: 'push', key: 'list', id: '5' }, notSent());
    expect(await audit()).toEqual(right);
    expect([account.count('confirmed'), account.count('failed'), account.count('unknown')]).toEqual([1_506, 1, 1]);
    expect(account.unknown()).toEqual([{ kind: 'count', key: 'counter' }]);
  });

  it.each<[string, Partial<typeof right>, (observer: Redis) => Promise<unknown>]>([
    ['a lost count', { confirmedMissing: 1 }, (observer) => observer.decr('counter')],
    ['a count too many', { executedTwice: 1 }, (observer) => observer.incr('counter')],
    ['a lost push', { confirmedMissing: 1 }, (observer) => observer.lpop('list')],
    ['a push too many', { executedTwice: 1 }, (observer) => observer.rpush('list', '2')],
    ['a push that is there again after it was taken', { executedTwice: 1 }, (observer) => observer.rpush(QUEUE, '4')],
    ['a lost key', { confirmedMissing: 1 }, (observer) => observer.del('key')],
    [
      'a failed push that is there',
      { failedButExecuted: 1 },
      async (observer) => {
        await account.enter({ kind: 'push', key: 'list', id: '5' }, notSent());
        await observer.rpush('list', '5');
      },
    ],
    [
      'a failed key that is there',
      { failedButExecuted: 1 },
      async (observer) => {
        await account.enter({ kind: 'put', key: 'other' }, notSent());
        await observer.set('other', 1);
      },
    ],
  ])('finds %s', async (_, found, sabotage) => {
    await sabotage(redis().observer);
    expect(await audit()).toEqual({ ...right, ...found });
  });

  it('notices replies to another command, commands without an end, and errors that say nothing', async () => {
    await account.enter({ kind: 'none' }, Promise.resolve('2'), (reply) => reply === '1');
    await account.enter({ kind: 'none' }, Promise.reject(new Error('what?')));
    account.enter({ kind: 'none' }, new Promise(() => {}));
    expect([account.wrongReplies, account.unexplained.length, account.count('pending')]).toEqual([1, 1, 1]);
  });
});

describe('npm run bench -- chaos', () => {
  const build = useTools();

  it('ends with 1 and says what it has found when somebody counts what nobody has sent', { timeout: 120_000 }, async () => {
    const bench = spawn(process.execPath, [join(build, 'bench/main.js'), 'chaos', '--seconds', '5', '--verbose', '--json']);
    const lines: string[] = [];
    createInterface(bench.stdout).on('line', (line) => lines.push(line));
    const ended = Promise.all([text(bench.stderr), once(bench, 'close')]);
    const url = await until(() => lines.map((line) => / at (redis:.*)$/.exec(line)?.[1]).find(Boolean), { timeoutMs: 30_000 });
    const saboteur = new Redis(url ?? '', { commandTimeout: 1_000 });
    saboteur.on('error', () => {});
    await until(() => saboteur.incrby('counter:0', 1_000_000), { timeoutMs: 30_000 });
    saboteur.disconnect();
    const [errors, [code]] = await ended;
    const figures = JSON.parse(lines.at(-1) ?? '');
    expect(figures).toMatchObject({ bench: 'chaos', confirmedMissing: 0, pendingForever: 0, unhandledRejections: 0, limit: 13 });
    expect(figures.executedTwice).toBeGreaterThan(900_000);
    expect([code, errors]).toEqual([1, expect.stringMatching(/^executedTwice: \d+$/m)]);
    expect(lines.filter((line) => line.startsWith('unknown {'))).toHaveLength(figures.unknown);
    expect(figures.commands).toBe(figures.confirmed + figures.failed + figures.unknown);
  });
});
