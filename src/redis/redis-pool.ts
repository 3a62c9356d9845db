import { CommandRefusedError, InvalidOptionError, NotAConnectionError } from '../errors.ts';
import { checkArgument, flag } from '../options.ts';
import type { UseFunction } from '../pool/hold.ts';
import type { Lease, LeaseKind } from '../pool/lease.ts';
import type { AcquireOptions } from '../pool/options.ts';
import { Pool } from '../pool/pool.ts';
import { recently } from '../pool/recently.ts';
import type { UseOptions } from './api.ts';
import { type Attempt, attemptOf, isDoubtful, nextOf, type Sending } from './attempt.ts';
import { blocksForMs, classify, nameProblem } from './classify.ts';
import { conditionOf } from './equip.ts';
import { USE_ADVICE } from './guard.ts';
import { type ChainableCommander, METHODS, methodsOf, Redis } from './ioredis.ts';
import { callbackOf, type Entry, Recorder, type RecorderContext, withoutCallback } from './recorder.ts';
import { type Failed, pause, type RetryOptions, retryAfterMs } from './retry.ts';
import { type Run, unsent, untilReply } from './until-reply.ts';

type Method = (...args: unknown[]) => Promise<unknown>;
type Callback = (error: unknown, result?: unknown) => void;

/** The pool behind {@link RedisPool}; its commands are added below. */
export class CommandPool extends Pool<Redis> {
  #idempotent: IdempotentCommands | undefined;

  get #scripts(): readonly string[] {
    return Object.keys((this.plain as { scripts?: object } | undefined)?.scripts ?? {});
  }

  override use<R>(fn: UseFunction<Redis, R>, options?: UseOptions): Promise<R> {
    if (!options) return super.use(fn);
    const { retry = false, ...others } = options;
    try {
      checkArgument(`pool "${this.name}": use()`, 'retry', retry, flag);
    } catch (error) {
      return Promise.reject(error);
    }
    return retry ? this.#useAgain(attemptOf('use', true, []), fn, others) : super.use(fn, others);
  }

  pipeline(commands?: unknown): ChainableCommander {
    return this.#recorder('pipeline', commands);
  }

  multi(commands?: unknown, options?: unknown): ChainableCommander {
    return this.#recorder('multi', commands, options);
  }

  /** The commands, as they are sent when twice does no harm. */
  get idempotent(): IdempotentCommands {
    this.#idempotent ??= new IdempotentCommands(this);
    return this.#idempotent;
  }

  /** Whoever asks for these wants one connection to keep: BullMQ, for one, sees by them what it was given. */
  get options(): never {
    throw new NotAConnectionError(this.name, 'options');
  }

  connect(): never {
    throw new NotAConnectionError(this.name, 'connect()');
  }

  disconnect(): never {
    throw new NotAConnectionError(this.name, 'disconnect()');
  }

  duplicate(): never {
    throw new NotAConnectionError(this.name, 'duplicate()');
  }

  /** Sends one command over a lease that ends with its reply. @param given What the method takes; `args` is what of it goes to the server. */
  send(method: string, name: string, args: readonly unknown[], given = args, idempotent = false): Promise<unknown> {
    const callback = callbackOf(given);
    if (callback) return withCallback(callback, this.send(method, name, withoutCallback(args), withoutCallback(given), idempotent));
    const problem = nameProblem(this.name, name);
    if (problem) return Promise.reject(problem);
    const kind = classify(name, args);
    if (kind === 'refused') return Promise.reject(new CommandRefusedError(this.name, name, USE_ADVICE));
    const ms = kind === 'exclusive' ? blocksForMs(name, args) : 0;
    const run = (connection: Redis) => (connection as unknown as Record<string, Method>)[method]?.(...given);
    return this.#attempt(attemptOf(name, idempotent, [{ name, args, given }]), ms, run);
  }

  /** Names the scripts of the definition as commands. @throws InvalidOptionError for a name that is taken. */
  addScripts(): this {
    for (const script of this.#scripts) {
      if (script in this) {
        const expected = 'given another name, for a pool has a member of that name';
        throw new InvalidOptionError({ where: `defineRedisPool("${this.name}")`, option: `scripts.${script}`, expected, actual: {} });
      }
      for (const method of methodsOf(script)) {
        Object.defineProperty(this, method, { value: (...args: unknown[]) => this.#sendScript(method, script, args) });
      }
    }
    return this;
  }

  /** A script may write, though its name be that of a command which only reads, such as `hGetAll`. */
  #sendScript(method: string, name: string, given: readonly unknown[]): Promise<unknown> {
    const args = withoutCallback(given);
    const run = (connection: Redis) => (connection as unknown as Record<string, Method>)[method]?.(...args);
    const reply = this.#attempt(attemptOf('eval', false, [{ name, args, given: args }]), 0, run);
    const callback = callbackOf(given);
    return callback ? withCallback(callback, reply) : reply;
  }

  #recorder(kind: 'pipeline' | 'multi', commands: unknown, options?: unknown): ChainableCommander {
    // The results of a pipeline say of each command what became of it; a transaction is executed whole or not at all.
    const replay: RecorderContext['replay'] = (ms, batch, entries) =>
      kind === 'multi' ? this.#attempt(attemptOf(kind, false, entries), ms, batch) : this.replay(ms, batch, entries);
    return Recorder.start({ pool: this.name, kind, scripts: this.#scripts, replay }, commands, options);
  }

  // What follows is for pools that send over connections of several servers.

  /** A lease of a connection for what is to be sent. */
  protected lendFor(_: Sending, exclusive: boolean, kind: LeaseKind): Lease<Redis> | Promise<Lease<Redis>> {
    return this.lend(exclusive, kind);
  }

  /** Sends again, after an attempt that failed, on the connection that was lent for it. */
  protected playOn(connection: Redis, run: Run, _: Sending): ReturnType<Run> {
    return run(connection);
  }

  /** Plays a batch on one connection. */
  protected replay(ms: number, batch: Run, entries: readonly Entry[]): Promise<unknown> {
    return this.#onLease({ entries }, ms, batch);
  }

  /** How long to wait before a command is sent again; `undefined` when it must not be. */
  protected retryAfterMs(failed: Failed): number | undefined {
    const { retry = {} } = this.settings as { readonly retry?: RetryOptions };
    return retryAfterMs(retry, failed, Math.random());
  }

  /** Sends a command, and sends it again where that is safe. */
  #attempt(attempt: Attempt, ms: number, run: Run): Promise<unknown> {
    return this.#onLease(attempt.sending, ms, run, (error) => {
      const waitMs = this.#retryAfterMs(attempt, error);
      if (waitMs === undefined) throw error;
      const again = pause(waitMs).then(() => this.#attempt(nextOf(attempt, error), ms, run));
      // What may have been executed once is not undone by an attempt that was not.
      return isDoubtful(attempt, error) ? again.catch(() => rethrow(error)) : again;
    });
  }

  /** How long to wait before the next attempt, `undefined` when there must be none. */
  #retryAfterMs(attempt: Attempt, error: unknown): number | undefined {
    // Each is called once.
    if (attempt.sending.entries.some(({ given }) => callbackOf(given))) return undefined;
    return this.retryAfterMs({ ...attempt, error, sinceMs: recently() - attempt.begun });
  }

  async #useAgain<R>(attempt: Attempt, fn: UseFunction<Redis, R>, options: AcquireOptions): Promise<R> {
    let hasChanged = () => true;
    try {
      return await super.use((connection, lease) => {
        const changes = conditionOf(connection)?.noteChanges();
        hasChanged = () => changes?.size !== 0;
        return fn(connection, lease);
      }, options);
    } catch (error) {
      const waitMs = hasChanged() ? undefined : this.#retryAfterMs(attempt, error);
      if (waitMs === undefined) throw error;
      await pause(waitMs);
      return this.#useAgain(nextOf(attempt, error), fn, options);
    }
  }

  /** @param ms How long it blocks; 0 shares the connection. @param onError What to do about an error of the command. */
  #onLease(sending: Sending, ms: number, run: Run, onError: (error: unknown) => unknown = rethrow): Promise<unknown> {
    try {
      const lease = this.lendFor(sending, ms > 0, ms === Number.POSITIVE_INFINITY ? 'blocking' : 'library');
      // Only what failed elsewhere may have been sent on to here.
      const play: Run = sending.error === undefined ? run : (connection) => this.playOn(connection, run, sending);
      return lease instanceof Promise ? lease.then((begun) => untilReply(begun, play, onError), unsent) : untilReply(lease, play, onError);
    } catch (error) {
      return Promise.reject(error).catch(unsent);
    }
  }
}

/** The commands of a pool that may be executed twice; they are added below. */
class IdempotentCommands {
  readonly #pool: CommandPool;

  constructor(pool: CommandPool) {
    this.#pool = pool;
  }

  send(method: string, name: string, args: readonly unknown[], given = args): Promise<unknown> {
    return this.#pool.send(method, name, args, given, true);
  }
}

function rethrow(error: unknown): never {
  throw error;
}

function withCallback(callback: Callback, reply: Promise<unknown>): Promise<unknown> {
  reply.then((result) => callback(null, result), callback);
  return reply;
}

for (const { prototype } of [CommandPool, IdempotentCommands]) {
  for (const [method, name] of METHODS) {
    if (method in prototype) continue;
    Object.defineProperty(prototype, method, {
      value(this: CommandPool | IdempotentCommands, ...args: unknown[]) {
        return this.send(method, name, args);
      },
    });
  }
  for (const method of methodsOf('call')) {
    Object.defineProperty(prototype, method, {
      value(this: CommandPool | IdempotentCommands, name: unknown, ...args: unknown[]) {
        return this.send(method, name as string, args, [name, ...args]);
      },
    });
  }
}
// They run SCAN after SCAN on whatever they are methods of.
for (const method of Object.getOwnPropertyNames(Redis.prototype).filter((own) => own.endsWith('Stream') && own.includes('can'))) {
  Object.defineProperty(CommandPool.prototype, method, { value: Redis.prototype[method as 'scanStream'] });
}
