import { afterIdly, cancel, within } from '../clock.ts';
import { FactoryTimeoutError } from '../errors.ts';
import { dispose } from '../scope/resource.ts';
import type { Definition, PoolFunctions, Rules } from './options.ts';

/** The functions of a definition with their deadlines. Nothing here hangs, whatever the functions do. */
export class Factory<T> {
  readonly #pool: string;
  readonly #rules: Rules;
  readonly #definition: Definition<T>;
  readonly #report: (error: unknown) => void;
  #creating: readonly AbortController[] = [];
  #aborted: Error | undefined;

  /** @param report Told what can be thrown to nobody. */
  constructor(pool: string, rules: Rules, definition: Definition<T>, report: (error: unknown) => void) {
    this.#pool = pool;
    this.#rules = rules;
    this.#definition = definition;
    this.#report = report;
  }

  /** @throws what `create` threw, or why it was given up; a resource that arrives after that is destroyed. */
  async create(): Promise<T> {
    if (this.#aborted) throw this.#aborted;
    const ms = this.#rules.createTimeoutMs;
    const controller = new AbortController();
    const { signal } = controller;
    const givenUp = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const timer = afterIdly(ms, () => controller.abort(new FactoryTimeoutError(this.#pool, 'create', ms)));
    const creating = (async () => this.#functions.create({ signal }))();
    this.#creating = [...this.#creating, controller];
    try {
      return await Promise.race([creating, givenUp]);
    } catch (error) {
      if (signal.aborted) this.#destroyLate(creating);
      throw error;
    } finally {
      cancel(timer);
      this.#creating = this.#creating.filter((other) => other !== controller);
    }
  }

  /** Gives up what is being created, and creates no more. */
  abort(reason: Error): void {
    this.#aborted = reason;
    for (const controller of this.#creating) controller.abort(reason);
  }

  /** @throws when the resource does not live. */
  async validate(resource: T): Promise<void> {
    await this.#inTime('validate', this.#functions.validate?.(resource));
  }

  /** @throws what `destroy` threw, or FactoryTimeoutError; either way the resource is given up. */
  async destroy(resource: T): Promise<void> {
    const ms = this.#rules.destroyTimeoutMs;
    const functions = this.#functions;
    const destroying = (async () => (functions.destroy ? functions.destroy(resource) : dispose(resource)))();
    if (
      (await within(
        destroying.then(() => {}),
        ms,
      )) === 'late'
    )
      throw new FactoryTimeoutError(this.#pool, 'destroy', ms);
  }

  /** Whether a look at a resource says something. */
  get canJudge(): boolean {
    return this.#functions.isUsable !== undefined;
  }

  get canValidate(): boolean {
    return this.#functions.validate !== undefined;
  }

  /** Whether the resource can be lent now. A check that throws says no. */
  isUsable(resource: T): boolean {
    const functions = this.#functions;
    return functions.isUsable === undefined || this.#answer('isUsable', () => functions.isUsable?.(resource));
  }

  get canReset(): boolean {
    return this.#functions.reset !== undefined;
  }

  /** Whether the resource can be lent again: now, or when the promise has resolved; it rejects when it cannot. A reset that throws says no. */
  reset(resource: T): boolean | Promise<void> {
    try {
      const answer: unknown = this.#functions.reset?.(resource);
      return isPromise(answer) ? this.#inTime('reset', answer) : answer !== false;
    } catch (error) {
      this.#report(error);
      return false;
    }
  }

  /** Whether to try again is of no use after this error of `create`. */
  isFinal(error: unknown): boolean {
    const functions = this.#functions;
    return functions.isFinal !== undefined && this.#answer('isFinal', () => functions.isFinal?.(error) ?? false);
  }

  watch(resource: T, report: (cause?: unknown) => void): void {
    this.#functions.onDead?.(resource, report);
  }

  /** The newest: a definition made again replaces them. */
  get #functions(): PoolFunctions<T> {
    return this.#definition.settings;
  }

  /** @throws when the answer is no, or does not come. */
  async #inTime(step: 'validate' | 'reset', answer: unknown): Promise<void> {
    const ms = this.#rules.validateTimeoutMs;
    const told = await within(Promise.resolve(answer), ms);
    if (told === 'late') throw new FactoryTimeoutError(this.#pool, step, ms);
    if (told.value === false) throw new Error(`${step} said no`);
  }

  /** Whatever is no plain answer is reported, and counts as no. */
  #answer(name: 'isUsable' | 'isFinal', question: () => unknown): boolean {
    try {
      const answer = question();
      if (!isPromise(answer)) return answer !== false;
      answer.then(undefined, () => {});
      throw new TypeError(`pool "${this.#pool}": ${name} gave a promise; it must answer at once. Ask what takes time in validate`);
    } catch (error) {
      this.#report(error);
      return false;
    }
  }

  #destroyLate(creating: Promise<T>): void {
    creating.then(
      (resource) => this.destroy(resource).catch(this.#report),
      // It ended without a resource, as it was asked to.
      () => {},
    );
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}
