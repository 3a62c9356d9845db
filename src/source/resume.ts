import { after, cancel, type Timer } from '../clock.ts';
import { type Context, currentFrame, enterFrame, type Frame, rememberContext } from '../context.ts';
import { GaveUpError, SourceItemError } from '../errors.ts';
import { abortSignal, callable, checkArgument, text } from '../options.ts';
import type { Scope } from '../scope/index.ts';
import { checkItem, checkIterable, checkState, copyOf, type Source } from './item.ts';
import { type RestartLimits, type RestartRules, restartDelayMs, restartRules } from './policy.ts';

/** What is told when a source has failed and is begun anew. */
export interface SourceRestart<S> {
  readonly error: unknown;
  /** Where it is begun. */
  readonly state: S;
  /** How often that was done in a row without progress, from 1. */
  readonly restarts: number;
  /** How long that waits. */
  readonly delayMs: number;
}

/** Settings of `resume`. */
export interface ResumePolicy<S> extends RestartLimits {
  /** Shown in errors. Default: the name of the function, else `source`. */
  readonly name?: string | undefined;
  /** Ends it, as the scope in which it is made does when it is cancelled or closes. */
  readonly signal?: AbortSignal | undefined;
  /** Told before it is begun anew, and not waited for. What it throws, or rejects with, ends it: to give up at once. */
  readonly onRestart?: ((restart: SourceRestart<S>) => void) | undefined;
}

/**
 * Iterates over the items of a source that is begun anew when it fails, from the state behind the item that was taken
 * last: each item comes once, in order, and in the async context in which this is called. An item counts as taken, and
 * as progress, when the next one is asked for. At the end of the source it ends, and returns the last state.
 *
 * @param state Where to begin, plain data.
 * @throws InvalidOptionError. The iteration throws, after all earlier items, GaveUpError when the source has failed too
 * often in a row without progress, SourceItemError for what is no pair of item and state, and the reason of what ended it.
 */
export function resume<T, S>(source: Source<T, S>, state: S, policy: ResumePolicy<S> = {}): Resumed<T, S> {
  checkArgument('resume()', 'its source', source, callable);
  const rules = restartRules('resume()', policy, { name: text, signal: abortSignal, onRestart: callable });
  return new Resumed(source, checkState('resume()', state), policy, rules);
}

const NOBODY = { work: undefined, held: undefined };

/** Who waits for an item. */
interface Call<T, S> {
  resolve(result: IteratorResult<T, S>): void;
  reject(error: unknown): void;
}

/** A source that survives its failures. Made by `resume`. */
export class Resumed<T, S> implements AsyncIterableIterator<T, S, undefined>, AsyncDisposable {
  readonly #source: Source<T, S>;
  readonly #name: string;
  readonly #policy: ResumePolicy<S>;
  readonly #rules: RestartRules;
  readonly #context: Context = rememberContext();
  readonly #frame: Frame | undefined = currentFrame();
  readonly #abort = new AbortController();
  #reading: AsyncIterator<readonly [T, S]> | undefined;
  /** Where the source is begun anew. */
  #state: S;
  /** Behind the item that was given last. */
  #checkpoint: S;
  #failures = 0;
  #timer: Timer | undefined;
  #call: Call<T, S> | undefined;
  /** How many calls have not been answered, and the last of them. */
  #calls = 0;
  #last: Promise<IteratorResult<T, S>> = Promise.resolve({ done: true, value: undefined as S });
  #unlisten: (() => void) | undefined;
  #end: { readonly error?: unknown } | undefined;

  /** @internal */
  constructor(source: Source<T, S>, state: S, policy: ResumePolicy<S>, rules: RestartRules) {
    this.#source = source;
    this.#name = policy.name ?? (source.name || 'source');
    this.#policy = policy;
    this.#rules = rules;
    this.#state = this.#checkpoint = state;
  }

  /** The state behind the item that was given last: stored with what has come of that item, it is where another process begins. */
  get checkpoint(): S {
    return this.#checkpoint;
  }

  next(): Promise<IteratorResult<T, S>> {
    // One after another, as of a generator.
    this.#last = this.#calls++ === 0 ? this.#given() : this.#last.then(this.#given, this.#given);
    return this.#last;
  }

  /** Ends the source, too: rejects with what its `finally` throws. */
  async return(): Promise<IteratorResult<T, S>> {
    const reading = this.#stop({});
    await this.#inContext(() => reading?.return?.());
    return { done: true, value: this.#state };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #given = () => new Promise<IteratorResult<T, S>>(this.#give);

  readonly #give = (resolve: Call<T, S>['resolve'], reject: Call<T, S>['reject']): void => {
    this.#call = { resolve, reject };
    this.#state = this.#checkpoint;
    this.#failures = 0;
    if (!this.#end) this.#unlisten ??= this.#listen();
    if (this.#end) this.#answerEnd();
    else this.#pull();
  };

  #pull(): void {
    try {
      this.#inContext(this.#ask).then(this.#onResult, this.#onFailure);
    } catch (error) {
      this.#onFailure(error);
    }
  }

  readonly #ask = (): Promise<IteratorResult<readonly [T, S]>> => {
    this.#reading ??= checkIterable(this.#name, this.#source(copyOf(this.#state), this.#abort.signal))[Symbol.asyncIterator]();
    return this.#reading.next();
  };

  readonly #onResult = (result: IteratorResult<readonly [T, S]>): void => {
    if (this.#end) return;
    try {
      if (result.done) {
        this.#reading = undefined;
        return this.#finish({});
      }
      const { 0: value, 1: next } = checkItem<T, S>(this.#name, result.value);
      this.#checkpoint = next;
      this.#answer()?.resolve({ done: false, value });
    } catch (error) {
      this.#finish({ error });
    }
  };

  readonly #onFailure = (error: unknown): void => {
    if (this.#end) return;
    this.#reading = undefined;
    if (error instanceof SourceItemError) return this.#finish({ error });
    const state = this.#state;
    const restarts = this.#failures++;
    const delayMs = restartDelayMs(this.#failures, this.#rules);
    if (delayMs === undefined) {
      const otherwise = 'go on behind what it cannot read';
      return this.#finish({ error: new GaveUpError(`source "${this.#name}"`, { cause: error, state, restarts, otherwise }) });
    }
    try {
      const told: unknown = this.#policy.onRestart?.({ error, state, restarts: this.#failures, delayMs });
      if (told instanceof Promise) told.catch((thrown: unknown) => this.#finish({ error: thrown }));
    } catch (thrown) {
      return this.#finish({ error: thrown });
    }
    // Whoever is told may have ended it.
    if (this.#end) return;
    // Once: one that fails again and again must not keep the event loop from all else.
    if (delayMs === 0 && restarts === 0) this.#pull();
    else this.#timer = after(delayMs, () => this.#pull());
  };

  #listen(): () => void {
    const scope = this.#frame?.scope as Scope | undefined;
    const signals = [this.#policy.signal, scope?.signal].filter((signal) => signal !== undefined);
    const onAbort = () => this.#finish({ error: signals.find(({ aborted }) => aborted)?.reason });
    if (signals.some(({ aborted }) => aborted)) onAbort();
    else for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
    return () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort);
    };
  }

  /** Whatever the source is doing: it may never answer. */
  #finish(end: { readonly error?: unknown }): void {
    const reading = this.#stop(end);
    if (!reading?.return) return;
    const report = (error: unknown) => (this.#frame?.scope as Scope | undefined)?.report(error, this.#name);
    try {
      this.#inContext(() => reading.return?.())?.then(undefined, report);
    } catch (error) {
      report(error);
    }
  }

  /** @returns what is to be ended. */
  #stop(end: { readonly error?: unknown }): AsyncIterator<readonly [T, S]> | undefined {
    const reading = this.#reading;
    this.#reading = undefined;
    if (this.#end) return reading;
    this.#end = end;
    cancel(this.#timer);
    this.#unlisten?.();
    this.#abort.abort('error' in end ? end.error : undefined);
    this.#answerEnd();
    return reading;
  }

  #answerEnd(): void {
    const call = this.#answer();
    if (!call || !this.#end) return;
    if (!('error' in this.#end)) return call.resolve({ done: true, value: this.#state });
    const { error } = this.#end;
    // Once, as of a generator.
    this.#end = {};
    call.reject(error);
  }

  #answer(): Call<T, S> | undefined {
    const call = this.#call;
    this.#call = undefined;
    if (call) this.#calls--;
    return call;
  }

  /** In the context in which this was made, but as a part of the work that asks: the one in which it was made may have ended. */
  #inContext<R>(fn: () => R): R {
    const made = this.#frame;
    const { work, held } = currentFrame() ?? NOBODY;
    if (!made || (work === made.work && held === made.held)) return this.#context(fn);
    return this.#context(enterFrame as (frame: Frame, fn: () => R) => R, undefined, { scope: made.scope, work, held }, fn);
  }
}
