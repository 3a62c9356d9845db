import { CommandRefusedError } from '../errors.ts';
import { blocksForMs, classify, nameProblem } from './classify.ts';
import { type ChainableCommander, METHODS, methodsOf, type Redis } from './ioredis.ts';
import { tellOfTransaction } from './outcome.ts';

/** Where a recorder comes from and where it goes. */
export interface RecorderContext {
  readonly pool: string;
  readonly kind: 'pipeline' | 'multi';
  /** Names of scripts, which are commands, too. */
  readonly scripts: readonly string[];
  /** Plays the batch on a connection; alone on it when it blocks, which may take so long. */
  replay(blocksForMs: number, batch: (connection: Redis) => Promise<unknown>, entries: readonly Entry[]): Promise<unknown>;
}

/** A command as it goes to the server, and what its method was given. */
export interface Entry {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly given: readonly unknown[];
}

type Callback = (error: unknown, result?: unknown) => void;
type Methods = Record<string, (...args: unknown[]) => unknown>;

const UNRECORDED = 'So it is with multi({ pipeline: false }). ';
const USE_INSTEAD =
  'On a pool, multi() records and exec() runs the whole; to read between WATCH and EXEC, pool.use(async (connection) => …)';
const CALLS = ['call', 'callBuffer'];

/** `pipeline()` and `multi()` of a pool: keeps the commands until `exec()`, then plays them on one connection. */
export class Recorder {
  readonly #context: RecorderContext;
  readonly #entries: (Entry & { readonly method: string })[] = [];
  #blocksForMs = 0;
  #executed: Promise<unknown> | undefined;

  /** @param batch As ioredis takes it: commands as arrays, `[['set', 'a', 1], ['get', 'a']]`. */
  static start(context: RecorderContext, batch?: unknown, options: unknown = batch): ChainableCommander {
    if ((options as { pipeline?: boolean } | undefined)?.pipeline === false) {
      throw new CommandRefusedError(context.pool, 'multi', UNRECORDED + USE_INSTEAD);
    }
    const recorder = new Recorder(context);
    if (Array.isArray(batch)) for (const [method, ...args] of batch as [string, ...unknown[]][]) recorder.#add(method, args);
    return recorder as unknown as ChainableCommander;
  }

  private constructor(context: RecorderContext) {
    this.#context = context;
    for (const method of context.scripts.flatMap(methodsOf)) define(this, method);
  }

  /** Adds a recording method per command; EXEC is not recorded, but done. */
  static {
    for (const method of [...METHODS.keys(), ...CALLS]) define(Recorder.prototype, method);
    Object.defineProperty(Recorder.prototype, 'exec', { value: Recorder.prototype.play });
  }

  get length(): number {
    // As ioredis counts: its MULTI is the first.
    return this.#entries.length + (this.#context.kind === 'multi' ? 1 : 0);
  }

  /** Plays what was recorded. Once: another call gives the same results. */
  play(callback?: Callback): Promise<unknown> {
    this.#executed ??= this.#play();
    if (callback) this.#executed.then((results) => callback(null, results), callback);
    return this.#executed;
  }

  /** Records a command. Called by the methods of all commands. */
  add(method: string, args: readonly unknown[]): this {
    return this.#add(method, args);
  }

  #add(method: string, given: readonly unknown[]): this {
    const isCall = CALLS.includes(method);
    const problem = isCall && nameProblem(this.#context.pool, given[0]);
    if (problem) throw problem;
    const name = isCall ? (given[0] as string) : (METHODS.get(method) ?? method);
    if (this.#executed) throw new Error(`${name.toUpperCase()} after exec(): record it in another ${this.#context.kind}()`);
    if (!(method in this)) throw new TypeError(`${method} is no command`);
    const args = withoutCallback(isCall ? given.slice(1) : given);
    this.#check(name, args);
    this.#entries.push({ method, given, name, args });
    return this;
  }

  #check(name: string, args: readonly unknown[]): void {
    const kind = classify(name, args);
    if (kind === 'refused') throw new CommandRefusedError(this.#context.pool, name, USE_INSTEAD);
    // In a transaction a blocking command does not block.
    if (kind === 'exclusive' && this.#context.kind === 'pipeline') this.#blocksForMs = Math.max(this.#blocksForMs, blocksForMs(name, args));
  }

  async #play(): Promise<unknown> {
    let played = false;
    try {
      const play = (connection: Redis) => {
        played = true;
        const batch = connection[this.#context.kind]() as unknown as Methods;
        for (const { method, given } of this.#entries) batch[method]?.(...given);
        return (batch as unknown as ChainableCommander).exec().catch((error: unknown) => {
          throw tellOfTransaction(this.#context.pool, error);
        });
      };
      return await this.#context.replay(this.#blocksForMs, play, this.#entries);
    } catch (error) {
      if (!played) for (const { given } of this.#entries) callbackOf(given)?.(error);
      throw error;
    }
  }
}

function define(target: object, method: string): void {
  Object.defineProperty(target, method, {
    value(this: Recorder, ...args: unknown[]) {
      return this.add(method, args);
    },
    configurable: true,
  });
}

/** The callback that ioredis takes as the last argument of a command. */
export function callbackOf(args: readonly unknown[]): Callback | undefined {
  const last = args.at(-1);
  return typeof last === 'function' ? (last as Callback) : undefined;
}

export function withoutCallback(args: readonly unknown[]): readonly unknown[] {
  return callbackOf(args) ? args.slice(0, -1) : args;
}
