import { now, pause } from '../clock.ts';
import { GaveUpError, NoScopeError } from '../errors.ts';
import { callable, checkArgument, flag, oneOf, text } from '../options.ts';
import { type Scope, type SpawnOptions, type Task, type TaskContext, tryCurrentScope, withScope } from '../scope/index.ts';
import { type RestartLimits, type RestartRules, restartDelayMs, restartRules } from './policy.ts';

const RESTARTS = ['permanent', 'transient', 'temporary'] as const;

/** When a task is begun anew: `permanent`, always; `transient`, when it has failed; `temporary`, never. */
export type Restart = (typeof RESTARTS)[number];

/** What is told when a task is begun anew. */
export interface TaskRestart {
  /** What it failed with; nothing when it had ended. */
  readonly error: unknown;
  /** How often that was done in a row without progress, from 1. */
  readonly restarts: number;
  /** How long that waits. */
  readonly delayMs: number;
}

/** Settings of `supervise`. */
export interface SuperviseOptions extends RestartLimits, SpawnOptions {
  /** When it is begun anew. Default `transient`. */
  readonly restart?: Restart | undefined;
  /** Told before it is begun anew, and waited for. What it throws, or rejects with, ends the task. */
  readonly onRestart?: ((restart: TaskRestart) => void) | undefined;
}

/** What a supervised task is told. */
export interface SupervisedContext extends TaskContext {
  /** Says that it gets on: its failures are counted anew. So does a run that lasts longer than the longest delay. */
  progress(): void;
}

/**
 * Starts a task of the current scope that is begun anew when it fails, each time in a scope of its own, which is closed
 * before. The others of its scope do not hear of it, until it has failed too often in a row without progress: then it
 * fails with a GaveUpError, and with it its scope, as any task does. A `temporary` one never fails its scope; what it
 * fails with is reported.
 *
 * @returns the task; its value is that of the last run.
 * @throws InvalidOptionError, NoScopeError outside every scope.
 */
export function supervise<T>(fn: (task: SupervisedContext) => T | PromiseLike<T>, options: SuperviseOptions = {}): Task<T | undefined> {
  checkArgument('supervise()', 'its function', fn, callable);
  const { name = fn.name || 'task', background, restart = 'transient', onRestart } = options;
  const others = { name: text, background: flag, restart: oneOf(...RESTARTS), onRestart: callable };
  const rules = restartRules('supervise()', options, others);
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError('supervise()');
  const supervised = new Supervised({ fn, name, restart, onRestart, rules, scope });
  return scope.spawn(({ signal }) => supervised.run(signal), { name, background: background ?? false });
}

interface SupervisedConfig<T> {
  readonly fn: (task: SupervisedContext) => T | PromiseLike<T>;
  readonly name: string;
  readonly restart: Restart;
  readonly onRestart: SuperviseOptions['onRestart'];
  readonly rules: RestartRules;
  readonly scope: Scope;
}

class Supervised<T> {
  readonly #config: SupervisedConfig<T>;
  /** In a row, without progress. */
  #failures = 0;

  constructor(config: SupervisedConfig<T>) {
    this.#config = config;
  }

  async run(signal: AbortSignal): Promise<T | undefined> {
    const { name, restart, scope } = this.#config;
    for (;;) {
      const begun = now();
      let error: unknown;
      try {
        const value = await this.#runOnce(signal);
        if (restart !== 'permanent') return value;
        this.#failures = 0;
      } catch (thrown) {
        signal.throwIfAborted();
        error = thrown;
        if (restart === 'temporary') {
          scope.report(error, name);
          return undefined;
        }
        if (now() - begun > this.#config.rules.longestMs) this.#failures = 0;
      }
      await pause(await this.#delayMs(error), signal);
      signal.throwIfAborted();
    }
  }

  #runOnce(signal: AbortSignal): Promise<T> {
    const { fn, name } = this.#config;
    const progress = () => {
      this.#failures = 0;
    };
    return withScope((scope) => fn({ signal: scope.signal, progress }), { name, signal });
  }

  /** @throws GaveUpError */
  async #delayMs(error: unknown): Promise<number> {
    const { name, rules, onRestart } = this.#config;
    const restarts = ++this.#failures;
    const delayMs = restartDelayMs(restarts, rules);
    if (delayMs === undefined)
      throw new GaveUpError(`task "${name}"`, { cause: error, restarts: restarts - 1, otherwise: 'call progress() where it gets on' });
    await onRestart?.({ error, restarts, delayMs });
    return delayMs;
  }
}
