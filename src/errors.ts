import { messageOf, redact, show } from './redact.ts';

const BRAND = Symbol.for('scoped-pool.error');

/**
 * Every error the library throws. A `code` never changes meaning between versions; a message may.
 * `docs/errors.md` lists the same codes, by test. `instanceof` also holds for errors of another copy of the library.
 */
export abstract class ScopedPoolError extends Error {
  abstract readonly code: `ERR_${string}`;
  /** Where a Redis command failed with it: what became of the command. */
  declare readonly outcome?: Outcome;

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
  }

  get [BRAND](): true {
    return true;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null || !(BRAND in value)) return false;
    // By name: the class of another copy is another one.
    for (let at: unknown = value.constructor; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
      // biome-ignore lint/complexity/noThisInStatic: the class asked, which may be a subclass
      if (at.name === this.name) return true;
    }
    return false;
  }
}

/** Nothing is wrong with what was asked: later it may be done. Web frameworks answer 503 by what it says of itself. */
export abstract class RetryLaterError extends ScopedPoolError {
  declare readonly status: number;
  declare readonly statusCode: number;

  static {
    // Of the prototype, so that no log repeats them; writable, because error handlers (of Koa, of http-errors) write there.
    const of503 = { value: 503, writable: true, configurable: true };
    Object.defineProperties(RetryLaterError.prototype, { status: of503, statusCode: of503 });
  }

  get headers(): Readonly<Record<string, string>> {
    return { 'retry-after': '1' };
  }

  /** For servers of the fetch style. */
  getResponse(): Response {
    return new Response(null, this);
  }
}

/** An option or argument is unknown or out of its range. Nothing was opened. */
export class InvalidOptionError extends ScopedPoolError {
  readonly code = 'ERR_INVALID_OPTION';

  /** @param wrong With `secret`, the message says of the value no more than its type. */
  constructor(wrong: { where: string; option: string; expected: string; actual: unknown; secret?: boolean }) {
    const got = wrong.secret ? `a value of type ${typeof wrong.actual}, which is not shown` : show(wrong.actual);
    super(`${wrong.where}: ${wrong.option} must be ${wrong.expected}; got ${got}`);
  }
}

/** Something needs a scope and none is open here. */
export class NoScopeError extends ScopedPoolError {
  readonly code = 'ERR_NO_SCOPE';

  constructor(what: string) {
    super(
      `${what}: no scope is open here. Run it inside withRoot(), a worker wrapped by scopeWorker(), a request of a server ` +
        'wrapped by scopeServer(), or Scope.process().run(). Callbacks of emitters and timers set outside a scope have none: bind them with ' +
        'scope.bind() or scope.on(). A job that began before scopeWorker() was called runs without a scope, too',
    );
  }
}

/** Something was started or acquired in a scope that is closing or closed, or still waited when its scope ended. */
export class ScopeClosedError extends ScopedPoolError {
  readonly code = 'ERR_SCOPE_CLOSED';

  /** @param waiting The acquire that waited, where one did. */
  constructor(scope: string, state: string, waiting?: { readonly pool: string; readonly site: string | undefined }) {
    const what = waiting
      ? `pool "${waiting.pool}": an acquire, begun at ${waiting.site ?? 'a line that was not sampled'}, still waited when its scope "${scope}" ended.`
      : `scope "${scope}" is ${state}: nothing new can begin in it.`;
    super(`${what} Await the work before its scope ends, start it with scope.spawn(), or spawn it on a scope that lives longer`);
  }
}

/** A scope was cancelled; the `cause` is the reason. */
export class ScopeCancelledError extends ScopedPoolError {
  readonly code = 'ERR_SCOPE_CANCELLED';
  /** 503 where the reason is a {@link RetryLaterError}, as of a request that took too long; as are the others. */
  declare readonly status?: number;
  declare readonly statusCode?: number;
  declare readonly headers?: Readonly<Record<string, string>>;
  declare readonly getResponse?: () => Response;

  constructor(scope: string, reason: unknown) {
    super(`scope "${scope}" was cancelled; what waited in it was stopped. See the cause for the reason: ${reasonOf(reason)}`, reason);
    if (!(reason instanceof RetryLaterError)) return;
    const later = { status: reason.status, statusCode: reason.status, headers: reason.headers, getResponse: () => reason.getResponse() };
    // No log repeats them.
    for (const [name, value] of Object.entries(later)) Object.defineProperty(this, name, { value, writable: true, configurable: true });
  }
}

function reasonOf(reason: unknown): string {
  return reason instanceof Error ? messageOf(reason) : show(reason);
}

/** `close()` was awaited by something that the close itself waits for. */
export class ScopeDeadlockError extends ScopedPoolError {
  readonly code = 'ERR_SCOPE_DEADLOCK';

  constructor(scope: string) {
    super(
      `scope "${scope}": close() awaited inside work that the scope waits for would never end. ` +
        'The close has begun; do not await it here, await it outside',
    );
  }
}

/** A scope gave up waiting for what it closes. */
export class ScopeTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_SCOPE_TIMEOUT';
  /** Names of what was left behind. */
  readonly pending: readonly string[];

  constructor(scope: string, pending: readonly string[], waitedMs: number) {
    super(
      `scope "${scope}": gave up after ${Math.round(waitedMs)} ms; left behind: ${pending.join(', ')}. ` +
        'Let it end on its AbortSignal, or raise graceMs, cancelMs or the timeoutMs of the resource',
    );
    this.pending = pending;
  }
}

/** A limit names a pool that nobody has defined. Reported, not thrown. */
export class UnknownLimitError extends ScopedPoolError {
  readonly code = 'ERR_UNKNOWN_LIMIT';

  constructor(scope: string, limit: string, known: readonly string[]) {
    super(
      `scope "${scope}" limits a pool "${limit}" that nobody defined; ` +
        `known pools: ${known.join(', ') || 'none'}. Correct the name, or import the module that defines it`,
    );
  }
}

/** Two copies of the library in one process that cannot work together. */
export class IncompatibleCopyError extends ScopedPoolError {
  readonly code = 'ERR_INCOMPATIBLE_COPY';

  constructor(mine: string, other: string) {
    super(
      `scoped-pool ${mine} and scoped-pool ${other} are both loaded in this process and do not understand each other. ` +
        'Install one version: npm ls scoped-pool shows who asks for which',
    );
  }
}

/** The step of an acquire that ran out of time. */
export type AcquirePhase = 'waiting' | 'creating' | 'validating';

/** What is known when an acquire fails; all of it is in the message, too. */
export interface AcquireFacts {
  readonly pool: string;
  readonly scope: string;
  readonly phase: AcquirePhase;
  readonly exclusive: boolean;
  readonly waitedMs: number;
  readonly max: number;
  readonly inUse: number;
  readonly idle: number;
  readonly pending: number;
  readonly holders: readonly HolderFacts[];
}

/** Who holds a connection. */
export interface HolderFacts {
  readonly pool: string;
  readonly scope: string;
  readonly exclusive: boolean;
  readonly heldMs: number;
  /** Line of code that acquired it, where it was sampled. */
  readonly site: string | undefined;
  /** What the code that holds it waits for, if anything; the first three. */
  readonly waitsFor: readonly WaitFacts[];
}

/** Who waits for a connection. */
export interface WaitFacts {
  readonly pool: string;
  readonly exclusive: boolean;
  readonly waitedMs: number;
  /** Line of code that acquires, where it was sampled. */
  readonly site: string | undefined;
}

function fullness(facts: AcquireFacts): string {
  return `max ${facts.max}, in use ${facts.inUse}, idle ${facts.idle}, pending ${facts.pending}`;
}

function holdersOf(facts: AcquireFacts): string {
  const isMixed = facts.holders.some(({ pool }) => pool !== facts.pool);
  return facts.holders.map((holder) => `\n    ${isMixed ? `pool "${holder.pool}" ` : ''}held ${describeHolder(holder)}`).join('');
}

function describeHolder({ exclusive, scope, heldMs, site, waitsFor }: HolderFacts): string {
  const waits = waitsFor.map(({ pool, site: waitSite }) => `, waits for pool "${pool}" at ${lineOf(waitSite)}`).join('');
  return `${exclusive ? 'exclusively' : 'shared'} by scope "${scope}" for ${Math.round(heldMs)} ms, since ${lineOf(site)}${waits}`;
}

function lineOf(site: string | undefined): string {
  return site ?? 'a line that was not sampled';
}

/** No lease could be had within `acquireTimeoutMs`; the `cause` is the factory's last error, where there was one. */
export class AcquireTimeoutError extends RetryLaterError {
  readonly code = 'ERR_POOL_ACQUIRE_TIMEOUT';
  readonly facts: AcquireFacts;

  constructor(facts: AcquireFacts, cause?: unknown) {
    super(
      `pool "${facts.pool}" of scope "${facts.scope}": no ${facts.exclusive ? 'exclusive' : 'shared'} lease within ` +
        `${Math.round(facts.waitedMs)} ms, stopped while ${facts.phase} (${fullness(facts)}). ${adviceOf(facts, cause)}${holdersOf(facts)}`,
      cause,
    );
    this.facts = facts;
  }
}

const ADVICE: Readonly<Record<AcquirePhase, string>> = {
  waiting: 'Hold leases for a shorter time, raise max, or lower the concurrency',
  creating: 'See whether the server is up and the options are right: connections could not be made',
  validating: 'Idle connections did not answer their check in time: see whether the server is up',
};

function adviceOf({ phase, inUse, idle, max }: AcquireFacts, cause: unknown): string {
  if (phase === 'creating' && cause instanceof ServerFullError) {
    return `The server has let in ${inUse + idle} connections of this pool, which may have ${max}, and no more: ${redact(cause.reply)}. ${FULL}`;
  }
  if (phase === 'creating' && cause instanceof Error) return `${ADVICE.creating}: ${messageOf(cause)}`;
  if (phase !== 'creating' || cause !== undefined) return ADVICE[phase];
  return 'The first attempt to make a connection had not ended: see whether the server answers, or raise acquireTimeoutMs above the time of an attempt (connectTimeoutMs, createTimeoutMs)';
}

/** Every connection, of one pool or of several, is held by code that itself waits for one of them. */
export class PoolDeadlockError extends ScopedPoolError {
  readonly code = 'ERR_POOL_DEADLOCK';
  readonly facts: AcquireFacts;

  /** @param facts With the holders of all the pools. */
  constructor(facts: AcquireFacts) {
    const pools = [...new Set([facts.pool, ...facts.holders.map(({ pool }) => pool)])];
    const [all, advice] =
      pools.length === 1
        ? [
            facts.max === 1 ? 'the only connection' : `all ${facts.max} connections`,
            'Inside use(fn), and after scope.lease(pool), work with the connection you were given, and start with scope.spawn(fn) what it does not await',
          ]
        : [
            `all connections of the pools ${pools.map((pool) => `"${pool}"`).join(', ')}`,
            'Acquire from several pools in the same order everywhere',
          ];
    super(
      `pool "${facts.pool}" of scope "${facts.scope}": deadlock: code that waits for one more holds ${all} ` +
        `(${fullness(facts)}). ${advice}; or raise max${holdersOf(facts)}`,
    );
    this.facts = facts;
  }
}

/** No connection can be made, and to try again is of no use; the `cause` is what `create` threw. */
export class PoolUnavailableError extends RetryLaterError {
  readonly code = 'ERR_POOL_UNAVAILABLE';
  readonly facts: AcquireFacts;

  constructor(facts: AcquireFacts, cause: unknown) {
    const why = cause instanceof Error ? `: ${messageOf(cause)}` : '';
    super(
      `pool "${facts.pool}" of scope "${facts.scope}": no connection can be made, and to try again is of no use${why}. ` +
        'Correct the options: user, password, database',
      cause,
    );
    this.facts = facts;
  }
}

/** More acquires would wait than `maxWaiters` allows. */
export class TooManyWaitersError extends RetryLaterError {
  readonly code = 'ERR_POOL_TOO_MANY_WAITERS';
  readonly facts: AcquireFacts;

  constructor(facts: AcquireFacts, maxWaiters: number) {
    super(
      `pool "${facts.pool}" of scope "${facts.scope}": more acquires would wait for a holder to leave than the ${maxWaiters} of ` +
        `maxWaiters (${fullness(facts)}). Shed load, or raise max or maxWaiters${holdersOf(facts)}`,
    );
    this.facts = facts;
  }
}

/** Under lasting overload an acquire had waited longer than `codelTargetMs` when its turn came; the connection went to one that is in time. */
export class PoolOverloadedError extends RetryLaterError {
  readonly code = 'ERR_POOL_OVERLOADED';
  readonly facts: AcquireFacts;

  constructor(facts: AcquireFacts, targetMs: number) {
    super(
      `pool "${facts.pool}" of scope "${facts.scope}" is overloaded: waited ${Math.round(facts.waitedMs)} ms, more than the ${targetMs} ms of ` +
        `codelTargetMs (${fullness(facts)}). Answer "try again later", or raise max${holdersOf(facts)}`,
    );
    this.facts = facts;
  }
}

/** An acquire was ended by its AbortSignal; the `cause` is the signal's reason. */
export class AcquireAbortedError extends ScopedPoolError {
  readonly code = 'ERR_ACQUIRE_ABORTED';

  constructor(pool: string, reason: unknown) {
    super(`pool "${pool}": acquire was aborted by its signal. See the cause for the reason`, reason);
  }
}

/** A pool was used after it was closed in this scope. */
export class PoolClosedError extends ScopedPoolError {
  readonly code = 'ERR_POOL_CLOSED';

  constructor(pool: string, scope: string) {
    super(`pool "${pool}" of scope "${scope}" is closed. It opens again in a new root scope`);
  }
}

/** A pool with `unique: true` was defined twice, with different options. */
export class PoolRedefinedError extends ScopedPoolError {
  readonly code = 'ERR_POOL_REDEFINED';

  constructor(pool: string, first: string, second: string) {
    super(`pool "${pool}" is defined ${first} and, with other options, ${second}. Define it once and import it, or give it another name`);
  }
}

/** `create`, `validate`, `reset` or `destroy` of a pool did not end in time. */
export class FactoryTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_FACTORY_TIMEOUT';

  constructor(pool: string, step: 'create' | 'validate' | 'reset' | 'destroy', ms: number) {
    const option = `${step === 'reset' ? 'validate' : step}TimeoutMs`;
    super(`pool "${pool}": ${step} did not end within ${ms} ms. See whether the server is reachable, or raise ${option}`);
  }
}

/** How far an attempt to connect has come, and what that means. */
const CONNECT_STEPS = {
  connecting: 'it was not reached',
  greeting: 'the server let us in and did not greet: it is blocked, or something else listens there',
  subscribing: 'the server greeted and did not acknowledge the subscriptions: it is blocked, or the connection is dead',
};

/** Redis was not ready for commands within `connectTimeoutMs`; the `cause` is what it said meanwhile, if anything. */
export class ConnectTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_CONNECT_TIMEOUT';

  /** @param owner Whose connection it was to be: `pool "redis"`. */
  constructor(owner: string, step: keyof typeof CONNECT_STEPS, ms: number, cause?: unknown) {
    super(
      `${owner}: no connection to Redis within ${ms} ms: ${CONNECT_STEPS[step]}. See whether host and port are right, or raise connectTimeoutMs`,
      cause,
    );
  }
}

const FULL = 'Lower max, here or in the other processes that use the server, or raise maxclients of the server';

/** Redis lets no more clients in: its `maxclients` is reached. Tried again, less and less often; the `cause` is its reply. */
export class ServerFullError extends ScopedPoolError {
  readonly code = 'ERR_SERVER_FULL';
  /** What the server said. */
  readonly reply: string;

  /** @param owner Whose connection it was to be: `pool "redis"`. */
  constructor(owner: string, reply: Error) {
    super(`${owner}: Redis lets no more connections in: ${redact(reply.message)}. ${FULL}`, reply);
    this.reply = reply.message;
  }
}

/** A lease was used after its end. */
export class LeaseEndedError extends ScopedPoolError {
  readonly code = 'ERR_LEASE_ENDED';

  constructor(pool: string, what: string) {
    super(`pool "${pool}": ${what} on a lease that has ended. Keep the work inside use(fn), or release the lease later`);
  }
}

/** A lease was still held when its scope had ended. Reported, not thrown. */
export class LeaseLeakedError extends ScopedPoolError {
  readonly code = 'ERR_LEASE_LEAKED';
  readonly holder: HolderFacts;

  /** @param sample Its stack shows who acquired the lease; becomes the cause. */
  constructor(pool: string, holder: HolderFacts, sample?: Error) {
    super(
      `pool "${pool}": leaked lease, held ${describeHolder(holder)}, is revoked: its scope has ended` +
        `${holder.exclusive ? '; its connection is destroyed' : ''}. Await use(fn), or release the lease in a finally block`,
      sample,
    );
    this.holder = holder;
  }
}

/** A lease has been held for longer than `leakAfterMs` and is probably leaked. Reported, not thrown; the lease goes on. */
export class LeaseOverdueError extends ScopedPoolError {
  readonly code = 'ERR_LEASE_OVERDUE';
  readonly holder: HolderFacts;

  /** @param sample Its stack shows who acquired the lease; becomes the cause. */
  constructor(pool: string, holder: HolderFacts, afterMs: number, sample?: Error) {
    super(
      `pool "${pool}": probably a leaked lease, held ${describeHolder(holder)}: longer than the ${afterMs} ms of leakAfterMs. ` +
        'Release it in a finally block, use use(fn), or raise leakAfterMs',
      sample,
    );
    this.holder = holder;
  }
}

/** A slot was asked for a move that its table does not list: a bug in this library. */
export class IllegalMoveError extends ScopedPoolError {
  readonly code = 'ERR_ILLEGAL_MOVE';

  constructor(from: string, to: string) {
    super(`bug in scoped-pool: no move from ${from} to ${to}. Please report it with this stack`);
  }
}

/** A command that needs a connection of its own was sent over a shared one. */
export class CommandRefusedError extends ScopedPoolError {
  readonly code = 'ERR_COMMAND_REFUSED';

  /** @param command Its name, or a phrase. */
  constructor(pool: string, command: string, advice: string, why = 'would reach everybody on a shared connection') {
    const what = command.includes(' ') ? command : command.toUpperCase();
    super(`pool "${pool}": ${what} ${why}. ${advice}`);
  }
}

/**
 * What became of a command whose connection broke. `not-sent`: it never left. `rejected`: the server answered that it did
 * not execute it. `unknown`: it was sent and not answered, so it may have been executed or not.
 */
export type Outcome = 'not-sent' | 'rejected' | 'unknown';

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  'not-sent': 'was not sent: its connection is gone. It was not executed, and may be sent again',
  rejected: 'was refused by the server, which did not execute it. It may be sent again, later',
  unknown:
    'was sent, and its connection broke before the reply: whether it was executed is unknown. Look, or send it again where twice does no harm',
};

/** What a node of a cluster says whose key is another's. */
const REDIRECTION = /^(?:MOVED|ASK) /;
const ELSEWHERE =
  'was refused by a node of a cluster, for its key is on another one. Use defineRedisClusterPool, and lease with { key } of the keys you use';

/** The connection of a command broke, or the server could not serve it; the `cause` is what was said. */
export class RedisConnectionError extends ScopedPoolError {
  readonly code = 'ERR_REDIS_CONNECTION';
  declare readonly outcome: Outcome;

  constructor(pool: string, command: string, outcome: Outcome, cause: Error) {
    const what = outcome === 'rejected' && REDIRECTION.test(cause.message) ? ELSEWHERE : OUTCOMES[outcome];
    super(`pool "${pool}": ${command.toUpperCase()} ${what} (${messageOf(cause)})`, cause);
    this.outcome = outcome;
  }
}

/** Redis did not answer a command within `commandTimeoutMs`. Whether it was executed is unknown. */
export class CommandTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_COMMAND_TIMEOUT';
  override readonly outcome: Outcome = 'unknown';

  /** @param oldest The command on the connection that waited longest. */
  constructor(pool: string, command: string, oldest: string, ms: number) {
    const behind = command === oldest ? '' : ` (behind ${oldest.toUpperCase()})`;
    super(
      `pool "${pool}": no reply to ${command.toUpperCase()}${behind} within ${Math.round(ms)} ms; its connection is destroyed. ` +
        'Whether it was executed is unknown. See whether the server is blocked, or raise commandTimeoutMs',
    );
  }
}

/** A pool was given to something that wants one connection. */
export class NotAConnectionError extends ScopedPoolError {
  readonly code = 'ERR_NOT_A_CONNECTION';

  constructor(pool: string, asked: string) {
    super(
      `pool "${pool}" is not a connection (asked for "${asked}"). Give BullMQ and other libraries that keep a connection ` +
        'for themselves their own connection options; lend one with use(fn) for work that ends',
    );
  }
}

/** A job threw what is no error; the `cause` is what it threw. BullMQ would show no reason, or leave the job active for ever. */
export class ThrownValueError extends ScopedPoolError {
  readonly code = 'ERR_THROWN_VALUE';

  /** @param isReason Whether it is the reason with which the job was cancelled. */
  constructor(job: string, thrown: unknown, isReason = false) {
    const what = isReason
      ? `was cancelled: ${show(thrown)}, and threw that reason. Cancel with an Error to have it thrown as it is`
      : `threw ${show(thrown)}, which is no Error. Throw an Error, so that the reason and its stack can be seen`;
    super(`${job} ${what}`, thrown);
  }
}

/** `scopeWorker` was given something that is no running BullMQ worker of a supported kind. */
export class NotAWorkerError extends ScopedPoolError {
  readonly code = 'ERR_NOT_A_WORKER';

  /** @param where Who asks, as the user wrote it: `scopeWorker()`. */
  constructor(where: string, problem: string) {
    super(`${where}: ${problem}`);
  }
}

/** `scopeWorker` was given a worker whose jobs run in other processes or threads. */
export class SandboxedWorkerError extends ScopedPoolError {
  readonly code = 'ERR_SANDBOXED_WORKER';

  constructor(worker: string) {
    super(
      `worker "${worker}" runs a processor file in processes or threads of its own, which no scope of this process ` +
        'reaches. Scope the processor file instead: export default scopeSandbox(async (job) => { … })',
    );
  }
}

/** `scopeWorker` was given a worker that takes no more jobs. */
export class WorkerClosedError extends ScopedPoolError {
  readonly code = 'ERR_WORKER_CLOSED';

  constructor(worker: string) {
    super(`worker "${worker}" is closing or closed. Wrap a worker right after it is made: scopeWorker(new Worker(…))`);
  }
}

/** `scopeOf` was given a worker that `scopeWorker` has not seen. */
export class WorkerNotScopedError extends ScopedPoolError {
  readonly code = 'ERR_WORKER_NOT_SCOPED';

  constructor(worker: string) {
    super(`scopeOf(): ${worker} has no scope. Wrap it first: scopeWorker(worker); with scoped() it gets one with its first job`);
  }
}

/** `producer` or `flow` was called where no worker is around, without a connection to use. */
export class NoWorkerError extends ScopedPoolError {
  readonly code = 'ERR_NO_WORKER';

  /** @param where Who asks, as the user wrote it: `producer("mails")`. */
  constructor(where: string, scope: string) {
    super(
      `${where}: scope "${scope}" belongs to no worker of this process whose connection it could use. Call it in a job of a worker ` +
        'wrapped by scopeWorker(), withScopes() or scoped(), or give options.connection; that is opened once and closed with the root scope',
    );
  }
}

/** The reason with which `shutdown` cancels a job that had not ended within `graceMs`. */
export class JobCancelledError extends ScopedPoolError {
  readonly code = 'ERR_JOB_CANCELLED';

  constructor(worker: string, waitedMs: number) {
    super(
      `job cancelled: worker "${worker}" shuts down, and the job had not ended after ${Math.round(waitedMs)} ms. ` +
        'A job with attempts left runs again; let jobs be shorter, or raise graceMs',
    );
  }
}

/** `producer` or `flow` was called in a job of a worker that has no connection to Redis. */
export class NotOnRedisError extends ScopedPoolError {
  readonly code = 'ERR_NOT_ON_REDIS';

  constructor(where: string, worker: string) {
    super(
      `${where}: worker "${worker}" keeps its jobs elsewhere than in Redis, and has no connection that could be shared. ` +
        'Make it once and close it with the scope: scopeOf(worker).open(() => new Queue(…), (queue) => queue.close())',
    );
  }
}

/** A worker takes no more jobs, because its scope, or the one that it shares, has ended before it; the `cause` says how. */
export class WorkerStoppedError extends ScopedPoolError {
  readonly code = 'ERR_WORKER_STOPPED';

  constructor(worker: string, cause: unknown) {
    super(
      `worker "${worker}" is paused: its scope has ended, so that no job can begin in it. Jobs that it had fetched wait in the queue ` +
        'again. Close the worker before its scope, and the scope that it shares after all its workers',
      cause,
    );
  }
}

/** What `shutdown` could not wait for. */
export interface WorkerLeftovers {
  /** Names of jobs that had not ended, or whose end could not be recorded. */
  readonly pending: readonly string[];
  readonly waitedMs: number;
  /** What was waited for in the end. */
  readonly lastFor: 'jobs' | 'scope' | 'Redis';
}

const LAST_ADVICE = {
  jobs: 'Let jobs end on their AbortSignal, or raise graceMs or cancelMs',
  scope: 'What was spawned or opened in its scope had not ended: let it end when the scope is cancelled, or raise graceMs or cancelMs',
  Redis: 'Redis could not be reached, or did not answer; look there',
} as const;

/** `shutdown` could not close a worker in order and ended it by force. */
export class WorkerTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_WORKER_TIMEOUT';
  /** Names of jobs that had not ended, or whose end could not be recorded. BullMQ runs them again when their locks expire. */
  readonly pending: readonly string[];

  constructor(worker: string, { pending, waitedMs, lastFor }: WorkerLeftovers) {
    const left = pending.length === 0 ? 'no job was left' : `left behind: ${pending.join(', ')}`;
    super(`worker "${worker}": ended by force after ${Math.round(waitedMs)} ms; ${left}. ${LAST_ADVICE[lastFor]}`);
    this.pending = pending;
  }
}

/** A test leaves something open. */
export class LeaksFoundError extends ScopedPoolError {
  readonly code = 'ERR_LEAKS_FOUND';
  /** One text for each root scope, lease, acquire that waits and pool with open connections. */
  readonly leaks: readonly string[];

  constructor(leaks: readonly string[]) {
    super(
      `still open: ${leaks.length}. Await scope.close() and worker.close() before the test ends, and use(fn) instead of ` +
        `acquire(); name in allow what outlives the test${leaks.map((leak) => `\n    ${leak}`).join('')}`,
    );
    this.leaks = leaks;
  }
}

/** A pool was to be replaced by a fake in a root scope that had used or replaced it before. */
export class PoolInUseError extends ScopedPoolError {
  readonly code = 'ERR_POOL_IN_USE';

  constructor(pool: string, scope: string) {
    super(
      `pool "${pool}" of scope "${scope}" was used or replaced there before. Call replacePool() once, at the begin of the test, ` +
        'in a root of its own: withTestRoot()',
    );
  }
}

/** A plain command was sent over a fake that does not have it. */
export class FakeIncompleteError extends ScopedPoolError {
  readonly code = 'ERR_FAKE_INCOMPLETE';

  constructor(pool: string, what: string) {
    super(`pool "${pool}" is replaced by a fake that has no ${what}(). Add it to the object given to replacePool()`);
  }
}

/** The client went away before its request was answered. The reason of the signal of a request. */
export class ClientGoneError extends ScopedPoolError {
  readonly code = 'ERR_CLIENT_GONE';

  constructor(request: string) {
    super(
      `request "${request}": the client closed the connection before it was answered. There is nobody to answer any more; let the work end`,
    );
  }
}

/** A request had not ended when its server was closed, or cancelled. */
export class ServerClosingError extends RetryLaterError {
  readonly code = 'ERR_SERVER_CLOSING';

  constructor(request: string, reason: unknown) {
    super(
      `request "${request}": cancelled, for its server closes and did not wait longer. Raise graceMs of the close, or let it end on its signal`,
      reason,
    );
  }
}

/** A request took longer than it may. */
export class RequestTimeoutError extends RetryLaterError {
  readonly code = 'ERR_REQUEST_TIMEOUT';

  constructor(request: string, timeoutMs: number) {
    super(`request "${request}": not answered within ${timeoutMs} ms (timeoutMs). See what it waits for, or raise timeoutMs`);
  }
}

/** A sharded channel belongs to another node of the cluster than the one that is connected to, or has gone there. */
export class ShardChannelMovedError extends ScopedPoolError {
  readonly code = 'ERR_SHARD_CHANNEL_MOVED';

  constructor(subscriber: string, channel: string) {
    super(
      `subscriber "${subscriber}": the node that is connected to does not own the sharded channel ${show(channel)}. ` +
        'Give connect: clusterNode([...]), which asks the cluster for the node that does',
    );
  }
}

/** One subscriber is to hear sharded channels of several nodes of a cluster. */
export class ShardChannelsApartError extends ScopedPoolError {
  readonly code = 'ERR_SHARD_CHANNELS_APART';

  constructor(subscriber: string, channels: readonly string[]) {
    super(
      `subscriber "${subscriber}": its sharded channels ${channels.map((channel) => show(channel)).join(' and ')} are of different nodes. ` +
        'Create one subscriber for each, or give channels that belong together one {tag} in braces',
    );
  }
}

/** The server that a subscriber is connected to is not the master any more, by the word of its sentinels. */
export class MasterMovedError extends ScopedPoolError {
  readonly code = 'ERR_MASTER_MOVED';

  constructor(subscriber: string) {
    super(
      `subscriber "${subscriber}": the sentinels lead to another master than the server that is connected to. ` +
        'Another connection is made; messages may be missing, see gap',
    );
  }
}

/** A subscriber has lost its connection without anybody saying so: nothing came, not even the answer to a PING. */
export class HeartbeatTimeoutError extends ScopedPoolError {
  readonly code = 'ERR_HEARTBEAT_TIMEOUT';

  constructor(subscriber: string, silentMs: number, pongMs: number) {
    super(
      `subscriber "${subscriber}": nothing came for ${Math.round(silentMs)} ms, though it was asked (pongMs ${pongMs}). ` +
        'Another connection is made; messages may be missing, see gap',
    );
  }
}

/** A subscriber's connection answers, but what is published does not come over it. */
export class DeliveryStoppedError extends ScopedPoolError {
  readonly code = 'ERR_DELIVERY_STOPPED';

  constructor(subscriber: string, missed: number, everyMs: number) {
    super(
      `subscriber "${subscriber}": ${missed} probes in a row were published and did not come within ${everyMs} ms (deliveryProbe), ` +
        'though the server answers: it may be one that nobody publishes to any more. Another connection is made; messages may be missing, see gap',
    );
  }
}

/** The server lets a subscriber in no more, or not to its channels; to try again is of no use. The `cause` is what it said. */
export class SubscriberRefusedError extends ScopedPoolError {
  readonly code = 'ERR_SUBSCRIBER_REFUSED';

  /** @param names Of the channels that it is refused, where it is not the whole subscriber. */
  constructor(subscriber: string, cause: Error, names: readonly string[] = []) {
    const what = names.length === 0 ? 'it' : names.map((name) => show(name)).join(', ');
    super(
      `subscriber "${subscriber}": the server refuses ${what} (${messageOf(cause)}). Correct user, password and database, ` +
        'or what the user may do (its channels, too), and subscribe again',
      cause,
    );
  }
}

/** A subscriber, or the scope that it belongs to, is closed. */
export class SubscriberClosedError extends ScopedPoolError {
  readonly code = 'ERR_SUBSCRIBER_CLOSED';

  constructor(subscriber: string) {
    super(`subscriber "${subscriber}" is closed. Create another one, in a scope that lives as long as it is needed`);
  }
}

/** Messages came faster than they were taken, and were not to be dropped. */
export class SubscriberOverflowError extends ScopedPoolError {
  readonly code = 'ERR_SUBSCRIBER_OVERFLOW';

  constructor(subscriber: string, max: number) {
    super(
      `subscriber "${subscriber}": more than ${max} messages (maxBuffered) wait for a consumer that is too slow. ` +
        'Take them faster, raise maxBuffered, or let overflow drop some',
    );
  }
}

/** An item cannot be published: its codec has no form for it. The `cause` is what JSON.stringify threw, if it did. */
export class NotEncodableError extends ScopedPoolError {
  readonly code = 'ERR_NOT_ENCODABLE';

  constructor(owner: string, item: unknown, form: 'JSON' | 'bytes', cause?: unknown) {
    const advice =
      form === 'JSON' ? 'Yield what JSON.stringify() can write' : 'Yield texts, Buffers or Uint8Arrays, or leave out codec: "bytes"';
    super(`${owner}: an item of the source (${kindOf(item)}) cannot be published as ${form}. ${advice}`, cause);
  }
}

/** Messages came that are no JSON; they were skipped. */
export class NotDecodableError extends ScopedPoolError {
  readonly code = 'ERR_NOT_DECODABLE';
  /** How many, since this was told last. */
  readonly skipped: number;

  /** @param channel Of the last of them. */
  constructor(subscriber: string, channel: string, skipped: number) {
    super(
      `subscriber "${subscriber}": ${skipped} messages of ${show(channel)} were skipped, for they are no JSON. See who publishes them, ` +
        'or subscribe with codec: "bytes"',
    );
    this.skipped = skipped;
  }
}

/** More items wait for the server than may, and none was to be dropped. */
export class PublisherOverflowError extends ScopedPoolError {
  readonly code = 'ERR_PUBLISHER_OVERFLOW';

  constructor(publisher: string, max: number) {
    super(
      `publisher "${publisher}": more than ${max} items (maxBuffered) wait to be published. ` +
        'Raise maxBuffered, let overflow drop some, or let it wait',
    );
  }
}

/** The server refuses to publish; to try again is of no use. The `cause` is what it said. */
export class PublisherRefusedError extends ScopedPoolError {
  readonly code = 'ERR_PUBLISHER_REFUSED';

  constructor(publisher: string, cause: Error) {
    super(
      `publisher "${publisher}": the server refuses what it publishes (${messageOf(cause)}). ` +
        'Correct what the user may do (its channels, too), and publish again',
      cause,
    );
  }
}

/** Items that a source has yielded were not published, or nobody knows whether they were. The `cause` is the last error, if it was one. */
export class ItemsLostError extends ScopedPoolError {
  readonly code = 'ERR_ITEMS_LOST';
  /** How many were surely not published, since this was told last. */
  readonly dropped: number;
  /** How many were sent and not answered, since this was told last. */
  readonly unsure: number;

  constructor(publisher: string, { dropped, unsure }: { readonly dropped: number; readonly unsure: number }, cause?: unknown) {
    const why = cause instanceof Error ? ` (${messageOf(cause)})` : '';
    super(
      `publisher "${publisher}": items were lost: ${dropped} were dropped, and ${unsure} sent and not answered${why}. ` +
        'See whether the server is up; raise maxBuffered where the source is faster',
      cause,
    );
    this.dropped = dropped;
    this.unsure = unsure;
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A source, or a supervised task, has failed too often in a row without progress. The `cause` is the last failure. */
export class GaveUpError extends ScopedPoolError {
  readonly code = 'ERR_GAVE_UP';
  /** The state that it failed at: nothing behind it was taken. Of a source alone. */
  readonly state: unknown;
  /** How often it was begun anew, in a row. */
  readonly restarts: number;

  /** @param failed.otherwise What may be done about it beside mending the cause. */
  constructor(
    what: string,
    failed: { readonly cause: unknown; readonly state?: unknown; readonly restarts: number; readonly otherwise: string },
  ) {
    const { cause, state, restarts, otherwise } = failed;
    const where = state === undefined ? '' : ` at state ${show(state)}`;
    const times = restarts === 0 ? 'once' : `${restarts + 1} times in a row`;
    super(
      `${what} failed ${times} without progress${where}, and is not begun anew. ` +
        `Mend what it fails with (${redact(String(cause))}), or ${otherwise}`,
      cause,
    );
    this.state = state;
    this.restarts = restarts;
  }
}

/** A source gave something else than an item with the state behind it. To begin it anew is of no use. */
export class SourceItemError extends ScopedPoolError {
  readonly code = 'ERR_SOURCE_ITEM';

  constructor(source: string, expected: string, actual: unknown) {
    super(`source "${source}" must ${expected}; got ${show(actual)}. Correct the source`);
  }
}

/** What the process has open cannot be served: the place is taken, or is not ours. The `cause` is what the system said. */
export class InspectionNotServedError extends ScopedPoolError {
  readonly code = 'ERR_INSPECTION_NOT_SERVED';

  constructor(address: string, cause: unknown) {
    const why = messageOf(cause);
    super(
      `serveInspection(): cannot listen at ${address}: ${why}. Give it a port of its own, or leave the call out where the process is served already`,
      cause,
    );
  }
}
