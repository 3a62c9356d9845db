import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as errors from '../../src/errors.ts';
import { read, root } from './markdown.ts';

const facts: errors.AcquireFacts = {
  ...{ pool: 'redis', scope: 'worker', phase: 'waiting', exclusive: true, waitedMs: 5, max: 1, inUse: 1, idle: 0, pending: 1 },
  holders: [{ pool: 'redis', scope: 'job', exclusive: true, heldMs: 4, site: 'job.ts:1:1', waitsFor: [] }],
};

/** One of each, with the words of its message that say what to do. */
const SAMPLES: readonly (readonly [errors.ScopedPoolError, string])[] = [
  [
    new errors.InvalidOptionError({ where: 'definePool()', option: 'max', expected: 'an integer', actual: 'a' }),
    'must be an integer; got "a"',
  ],
  [new errors.NoScopeError('pool "redis"'), 'Run it inside withRoot()'],
  [new errors.ScopeClosedError('job', 'closed'), 'Await the work before its scope ends'],
  [new errors.ScopeCancelledError('job', new Error('why')), 'See the cause'],
  [new errors.ScopeDeadlockError('job'), 'await it outside'],
  [new errors.ScopeTimeoutError('job', ['task'], 5), 'raise graceMs'],
  [new errors.UnknownLimitError('worker', 'rdis', ['redis']), 'Correct the name'],
  [new errors.IncompatibleCopyError('1', '2'), 'Install one version'],
  [new errors.AcquireTimeoutError(facts), 'raise max'],
  [new errors.PoolDeadlockError(facts), 'work with the connection you were given'],
  [new errors.PoolUnavailableError(facts, new Error('why')), 'Correct the options'],
  [new errors.TooManyWaitersError(facts, 5), 'raise max'],
  [new errors.PoolOverloadedError(facts, 50), 'or raise max'],
  [new errors.AcquireAbortedError('redis', new Error('why')), 'See the cause'],
  [new errors.PoolClosedError('redis', 'worker'), 'It opens again in a new root scope'],
  [new errors.PoolRedefinedError('redis', 'a.ts:1', 'b.ts:1'), 'Define it once and import it'],
  [new errors.FactoryTimeoutError('redis', 'create', 5), 'raise createTimeoutMs'],
  [new errors.LeaseEndedError('redis', 'GET'), 'Keep the work inside use(fn)'],
  [
    new errors.LeaseLeakedError('redis', { pool: 'redis', scope: 'job', exclusive: true, heldMs: 1, site: undefined, waitsFor: [] }),
    'Await use(fn)',
  ],
  [
    new errors.LeaseOverdueError('redis', { pool: 'redis', scope: 'job', exclusive: true, heldMs: 9, site: undefined, waitsFor: [] }, 5),
    'Release it in a finally block',
  ],
  [new errors.IllegalMoveError('free', 'closed'), 'Please report it'],
  [new errors.CommandRefusedError('redis', 'watch', 'Lease a connection'), 'Lease a connection'],
  [new errors.RedisConnectionError('redis', 'incr', 'unknown', new Error('closed')), 'send it again where twice does no harm'],
  [new errors.CommandTimeoutError('redis', 'get', 'get', 5), 'raise commandTimeoutMs'],
  [new errors.ConnectTimeoutError('pool "redis"', 'connecting', 5), 'raise connectTimeoutMs'],
  [new errors.ServerFullError('pool "redis"', new Error('ERR max number of clients reached')), 'raise maxclients'],
  [new errors.NotAConnectionError('redis', 'options'), 'lend one with use(fn)'],
  [new errors.NotAWorkerError('scopeWorker()', 'its first argument must be a Worker'), 'its first argument must be a Worker'],
  [new errors.ThrownValueError('job:1', 'boom'), 'Throw an Error'],
  [new errors.InspectionNotServedError('127.0.0.1:80', new Error('why')), 'Give it a port of its own'],
  [new errors.SandboxedWorkerError('mails'), 'Scope the processor file instead'],
  [new errors.WorkerClosedError('mails'), 'Wrap a worker right after it is made'],
  [new errors.WorkerNotScopedError('Worker "mails"'), 'Wrap it first'],
  [new errors.NoWorkerError('producer("mails")', 'request'), 'or give options.connection'],
  [new errors.NotOnRedisError('producer("mails")', 'mails'), 'Make it once and close it with the scope'],
  [new errors.JobCancelledError('mails', 5), 'raise graceMs'],
  [new errors.WorkerTimeoutError('mails', { pending: ['mails/job:1'], waitedMs: 5, lastFor: 'jobs' }), 'Let jobs end on their AbortSignal'],
  [new errors.WorkerStoppedError('mails', new Error('why')), 'Close the worker before its scope'],
  [new errors.ClientGoneError('GET /'), 'let the work end'],
  [new errors.RequestTimeoutError('GET /', 5), 'raise timeoutMs'],
  [new errors.ServerClosingError('GET /', new Error('why')), 'Raise graceMs of the close'],
  [new errors.HeartbeatTimeoutError('news', 5_000, 5_000), 'see gap'],
  [new errors.DeliveryStoppedError('news', 2, 5_000), 'see gap'],
  [new errors.MasterMovedError('news'), 'see gap'],
  [new errors.ShardChannelMovedError('news', 'a'), 'Give connect: clusterNode([...])'],
  [new errors.ShardChannelsApartError('news', ['a', 'b']), 'Create one subscriber for each'],
  [new errors.SubscriberRefusedError('news', new Error('WRONGPASS')), 'Correct user, password and database'],
  [new errors.SubscriberClosedError('news'), 'Create another one'],
  [new errors.SubscriberOverflowError('news', 10), 'raise maxBuffered'],
  [new errors.NotDecodableError('news', 'news', 3), 'See who publishes them'],
  [new errors.NotEncodableError('publisher "news"', undefined, 'JSON'), 'Yield what JSON.stringify() can write'],
  [new errors.PublisherOverflowError('news', 10), 'Raise maxBuffered'],
  [new errors.PublisherRefusedError('news', new Error('NOPERM')), 'Correct what the user may do'],
  [new errors.ItemsLostError('news', { dropped: 1, unsure: 2 }), 'raise maxBuffered'],
  [new errors.GaveUpError('source "clicks"', { cause: new Error('why'), state: 7, restarts: 5, otherwise: 'go on' }), 'or go on'],
  [new errors.SourceItemError('clicks', 'yield a pair', 1), 'Correct the source'],
  [new errors.LeaksFoundError(['root scope "worker"']), 'before the test ends'],
  [new errors.PoolInUseError('redis', 'test'), 'in a root of its own'],
  [new errors.FakeIncompleteError('redis', 'get'), 'Add it to the object'],
];

const ABSTRACT = ['ScopedPoolError', 'RetryLaterError'];

/** Every class that can be thrown. */
const classes = Object.entries(errors).flatMap(([name, value]) =>
  typeof value === 'function' && value.prototype instanceof Error && !ABSTRACT.includes(name) ? [name] : [],
);

const sections = [...read('docs/errors.md').matchAll(/^### (ERR_\w+)\n\n`(\w+)`(.*)\n\nWhen: (.+)\n\nDo: (.+)$/gm)].map(
  ([, code = '', name = '']) => `${code} ${name}`,
);

describe('docs/errors.md', () => {
  it('lists every class with its code, and no other', () => {
    expect([...sections].sort()).toEqual(SAMPLES.map(([error]) => `${error.code} ${error.name}`).sort());
  });

  it('gives every code a section of the same form', () => {
    expect(sections).toHaveLength(read('docs/errors.md').match(/^### /gm)?.length ?? 0);
  });
});

describe('every error', () => {
  it('is one of those above', () => {
    expect(SAMPLES.map(([error]) => error.name).sort()).toEqual(classes.sort());
  });

  it.each(SAMPLES.map(([error, advice]) => [error.code, error, advice] as const))('%s says what to do', (code, error, advice) => {
    expect(error).toBeInstanceOf(errors.ScopedPoolError);
    expect(code).toMatch(/^ERR_[A-Z_]+$/);
    expect(error.message).toContain(advice);
  });

  it('has a code of its own', () => {
    expect(new Set(SAMPLES.map(([{ code }]) => code)).size).toBe(SAMPLES.length);
  });

  it('is met in a test', () => {
    const files = readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true });
    const others = files.filter((file) => file.isFile() && /\.ts$/.test(file.name) && file.parentPath !== import.meta.dirname);
    const tests = others.map((file) => readFileSync(join(file.parentPath, file.name), 'utf8')).join('\n');
    const unmet = SAMPLES.filter(([{ code, name }]) => !new RegExp(`\\b(?:${code}|${name})\\b`).test(tests));
    expect(unmet.map(([{ code }]) => code)).toEqual([]);
  });
});
