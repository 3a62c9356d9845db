import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

/** The version of this copy of the library; equals package.json, by test. */
export const VERSION = '0.1.0';

/** What the copies of the library in one process share. Raised when an older copy could not read it. */
export const PROTOCOL = 1;

/** What travels with the async context: where we are, what we are part of, what we hold. */
export interface Frame {
  /** The current scope. */
  readonly scope: object;
  /** The innermost tracked work (task, body of a scope, closer) that the code runs in. */
  readonly work: object | undefined;
  /** The innermost lease whose `use(fn)` the code runs in. */
  readonly held: object | undefined;
}

/** One per process, whichever copy is loaded first. */
export interface Shared {
  readonly protocol: number;
  readonly version: string;
  readonly storage: AsyncLocalStorage<Frame>;
  readonly root: AsyncResource;
  /** Pool definitions by name. */
  readonly pools: Map<string, object>;
  /** Root scopes that are not closed. */
  readonly roots: Set<object>;
  /** The scope of `Scope.process()`. */
  process: object | undefined;
  /** Runs while somebody looks at what is held, and whoever acquires is to be named; one for all copies, of which each may be asked. */
  look: NodeJS.Timeout | undefined;
  /** Of this process, or thread, and no other on any machine; made when somebody looks. */
  id: string | undefined;
}

// On Node 20 every further AsyncLocalStorage makes every await of the process slower, hence exactly one.
const KEY = Symbol.for('scoped-pool');
const place = globalThis as { [KEY]?: Shared };
place[KEY] ??= {
  protocol: PROTOCOL,
  version: VERSION,
  storage: new AsyncLocalStorage(),
  // Made while the first copy loads, when no request or job is there whose context it could keep.
  root: new AsyncResource('scoped-pool'),
  pools: new Map(),
  roots: new Set(),
  process: undefined,
  look: undefined,
  id: undefined,
};

/** What the copies share; check `protocol` before you read on. */
export const shared: Shared = place[KEY];
const { storage, root } = shared;

export function currentFrame(): Frame | undefined {
  return storage.getStore();
}

/** Runs `fn` so that `currentFrame()` answers `frame` in it and in whatever it awaits. */
export function enterFrame<A extends unknown[], R>(frame: Frame, fn: (...args: A) => R, ...args: A): R {
  return storage.run(frame, fn, ...args);
}

/** Calls functions in a context that was remembered, of all stores. */
export type Context = <This, A extends unknown[], R>(fn: (this: This, ...args: A) => R, self?: This, ...args: A) => R;

/** The context of whoever asks. */
export function rememberContext(): Context {
  const here = new AsyncResource('scoped-pool.context');
  return here.runInAsyncScope.bind(here) as Context;
}

/** Runs `fn` so that what it sets by `AsyncLocalStorage.enterWith()`, of whatever storage, stays with it and what it awaits. */
export function inOwnContext<R>(fn: () => R): R {
  return new AsyncResource('scoped-pool.own').runInAsyncScope(fn);
}

/**
 * Runs `fn` in the library's root context, outside every scope and every foreign store, so that what it opens
 * keeps nobody's store alive. Connect inside, not only construct: a socket takes the context in which it connects.
 */
export function atRoot<R>(fn: () => R): R {
  return root.runInAsyncScope(fn);
}
