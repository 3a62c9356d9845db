import type * as pool from '../pool/api.ts';
import type { AcquireOptions } from '../pool/options.ts';
import type { ChainableCommander, Redis } from './ioredis.ts';

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
  /** The same commands, for which twice does no harm: sent again also when nobody knows whether they were executed. */
  readonly idempotent: Omit<Redis, NotOnPool | 'pipeline' | 'multi'>;
}

/** Settings of `use` of a Redis pool. */
export interface UseOptions extends AcquireOptions {
  /**
   * Runs `fn` again, as the option `retry` of the pool says, when its connection broke or the server refused a command, and
   * nothing that was sent in `fn` may have changed anything: not after a write, a WATCH or a MULTI. For functions whose other
   * effects may happen twice. Default false.
   */
  readonly retry?: boolean | undefined;
}

interface UseAgain {
  /** Lends a connection to `fn` alone, until what it returns has settled; see `use` of every pool. */
  use<R>(fn: (connection: Redis, lease: pool.Lease<Redis>) => R | PromiseLike<R>, options?: UseOptions): Promise<R>;
}

/**
 * A pool that is a Redis client: `await redis.incr('n')`. Plain commands share a connection, blocking ones get one of
 * their own, whatever needs a connection for longer than a command is done in `use(fn)`. Commands that are not awaited
 * may run over several connections and in any order; `share(fn)` keeps one.
 */
export type RedisPool = Omit<pool.Pool<Redis>, 'use'> & RedisCommands & UseAgain;
