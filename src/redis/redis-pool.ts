import { CommandRefusedError, InvalidOptionError, NotAConnectionError } from '../errors.ts';
import type * as api from '../pool/api.ts';
import type { Lease } from '../pool/lease.ts';
import { Pool } from '../pool/pool.ts';
import { blocksForMs, classify, nameProblem } from './classify.ts';
import { USE_ADVICE } from './guard.ts';
import { type ChainableCommander, METHODS, methodsOf, Redis } from './ioredis.ts';
import { callbackOf, Recorder, type RecorderContext, withoutCallback } from './recorder.ts';

/** Members of ioredis' class that are no commands, or not for a connection that others are on. */
type NotOnPool =
  | 'options'
  | 'status'
  | 'stream'
  | 'isCluster'
  | 'condition'
  | 'commandQueue'
  | 'autoPipelineQueueSize'
  | 'mode'
  | 'connect'
  | 'disconnect'
  | 'end'
  | 'duplicate'
  | 'defineCommand'
  | 'getBuiltinCommands'
  | 'createBuiltinCommand'
  | 'addBuiltinCommand'
  | 'addedBuiltinSet'
  | 'scriptsSet'
  | 'sendCommand'
  | 'silentEmit'
  | 'recoverFromFatalError'
  | 'handleReconnection'
  | 'on'
  | 'once'
  | 'off'
  | 'addListener'
  | 'removeListener'
  | 'removeAllListeners'
  | 'prependListener'
  | 'prependOnceListener'
  | 'emit'
  | 'eventNames'
  | 'listeners'
  | 'rawListeners'
  | 'listenerCount'
  | 'setMaxListeners'
  | 'getMaxListeners'
  | 'multi'
  | 'pipeline'
  | 'exec'
  | 'discard'
  | 'watch'
  | 'unwatch'
  | 'select'
  | 'auth'
  | 'hello'
  | 'reset'
  | 'quit'
  | 'monitor'
  | 'sync'
  | 'psync'
  | 'subscribe'
  | 'psubscribe'
  | 'ssubscribe'
  | 'unsubscribe'
  | 'punsubscribe'
  | 'sunsubscribe'
  | 'wait'
  | 'waitaof'
  | 'readonly'
  | 'readwrite'
  | 'asking'
  | `_${string}`;

/** ioredis' commands, as they can be called on a pool. */
export interface RedisCommands extends Omit<Redis, NotOnPool> {
  /** Records commands; `exec()` plays them on one connection, in one piece. */
  pipeline(commands?: unknown[][]): ChainableCommander;
  /** Records a transaction; `exec()` plays it on one connection, in one piece. */
  multi(commands?: unknown[][]): ChainableCommander;
}

/**
 * A pool that is a Redis client: `await redis.incr('n')`. Plain commands share a connection, blocking ones get one of
 * their own, whatever needs a connection for longer than a command is done in `use(fn)`. Commands that are not awaited
 * may run over several connections and in any order; `share(fn)` keeps one.
 */
export type RedisPool = api.Pool<Redis> & RedisCommands;

type Method = (...args: unknown[]) => Promise<unknown>;
type Callback = (error: unknown, result?: unknown) => void;

/** The pool behind {@link RedisPool}; its commands are added below. */
export class CommandPool extends Pool<Redis> {
  get #scripts(): readonly string[] {
    return Object.keys((this.plain as { scripts?: object } | undefined)?.scripts ?? {});
  }

  pipeline(commands?: unknown): ChainableCommander {
    return this.#recorder('pipeline', commands);
  }

  multi(commands?: unknown, options?: unknown): ChainableCommander {
    return this.#recorder('multi', commands, options);
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
  send(method: string, name: string, args: readonly unknown[], given = args): Promise<unknown> {
    const callback = callbackOf(given);
    if (callback) return withCallback(callback, this.send(method, name, withoutCallback(args), withoutCallback(given)));
    const problem = nameProblem(this.name, name);
    if (problem) return Promise.reject(problem);
    const kind = classify(name, args);
    if (kind === 'refused') return Promise.reject(new CommandRefusedError(this.name, name, USE_ADVICE));
    const ms = kind === 'exclusive' ? blocksForMs(name, args) : 0;
    return this.#onLease(ms, (connection) => (connection as unknown as Record<string, Method>)[method]?.(...given));
  }

  /** Names the scripts of the definition as commands. @throws InvalidOptionError for a name that is taken. */
  addScripts(): this {
    for (const script of this.#scripts) {
      if (script in this) {
        const expected = 'given another name, for a pool has a member of that name';
        throw new InvalidOptionError({ where: `defineRedisPool("${this.name}")`, option: `scripts.${script}`, expected, actual: {} });
      }
      for (const method of methodsOf(script)) {
        Object.defineProperty(this, method, { value: (...args: unknown[]) => this.send(method, script, args) });
      }
    }
    return this;
  }

  #recorder(kind: 'pipeline' | 'multi', commands: unknown, options?: unknown): ChainableCommander {
    const replay: RecorderContext['replay'] = (ms, batch) => this.#onLease(ms, batch);
    return Recorder.start({ pool: this.name, kind, scripts: this.#scripts, replay }, commands, options);
  }

  /** @param ms How long it blocks; 0 shares the connection. */
  #onLease(ms: number, run: (connection: Redis) => Promise<unknown> | undefined): Promise<unknown> {
    try {
      const lease = this.lend(ms > 0, ms === Number.POSITIVE_INFINITY ? 'blocking' : 'library');
      return lease instanceof Promise ? lease.then((begun) => untilReply(begun, run)) : untilReply(lease, run);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

/** Not an async function: what it costs is felt with every command. */
function untilReply(lease: Lease<Redis>, run: (connection: Redis) => Promise<unknown> | undefined): Promise<unknown> {
  let sent: Promise<unknown> | undefined;
  try {
    sent = run(lease.resource);
  } catch (error) {
    lease.release();
    throw error;
  }
  return Promise.resolve(sent).then(
    (reply) => {
      lease.release();
      return reply;
    },
    (error: unknown) => {
      lease.release();
      // ioredis says that the connection is closed; the scope has closed it.
      throw lease.interruption ?? error;
    },
  );
}

function withCallback(callback: Callback, reply: Promise<unknown>): Promise<unknown> {
  reply.then((result) => callback(null, result), callback);
  return reply;
}

for (const [method, name] of METHODS) {
  if (method in CommandPool.prototype) continue;
  Object.defineProperty(CommandPool.prototype, method, {
    value(this: CommandPool, ...args: unknown[]) {
      return this.send(method, name, args);
    },
  });
}
for (const method of methodsOf('call')) {
  Object.defineProperty(CommandPool.prototype, method, {
    value(this: CommandPool, name: unknown, ...args: unknown[]) {
      return this.send(method, name as string, args, [name, ...args]);
    },
  });
}
// They run SCAN after SCAN on whatever they are methods of.
for (const method of Object.getOwnPropertyNames(Redis.prototype).filter((own) => own.endsWith('Stream') && own.includes('can'))) {
  Object.defineProperty(CommandPool.prototype, method, { value: Redis.prototype[method as 'scanStream'] });
}
