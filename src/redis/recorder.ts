import { CommandRefusedError } from '../errors.ts';
import { classify } from './classify.ts';
import { COMMANDS, type ChainableCommander, type Redis } from './ioredis.ts';

/** Where a recorder comes from and where it goes. */
export interface RecorderContext {
  readonly pool: string;
  readonly kind: 'pipeline' | 'multi';
  /** Scripts of the pool, which are commands, too. */
  readonly scripts?: readonly string[];
  /** Plays the batch on a connection; alone on it when it blocks. */
  replay(exclusive: boolean, batch: (connection: Redis) => Promise<unknown>): Promise<unknown>;
}

type Callback = (error: Error | null, result?: unknown) => void;
type Methods = Record<string, (...args: unknown[]) => unknown>;

const USE_INSTEAD = 'On a pool, multi() records and exec() runs the whole; to read between WATCH and EXEC, pool.use(async (connection) => …)';

/** `pipeline()` and `multi()` of a pool: keeps the commands until `exec()`, then plays them on one connection. */
export class Recorder {
  readonly #context: RecorderContext;
  readonly #entries: { readonly method: string; readonly args: unknown[] }[] = [];
  #exclusive = false;
  #executed: Promise<unknown> | undefined;

  /** @param batch As ioredis takes it: commands as arrays, `[['set', 'a', 1], ['get', 'a']]`. */
  static start(context: RecorderContext, batch: unknown): ChainableCommander {
    const recorder = new Recorder(context);
    if (Array.isArray(batch)) for (const [name, ...args] of batch as [string, ...unknown[]][]) recorder.#record(name, name, args);
    else if (batch !== undefined && (batch as { pipeline?: boolean }).pipeline === false) {
      throw new CommandRefusedError(context.pool, 'multi({ pipeline: false })', USE_INSTEAD);
    }
    return recorder as unknown as ChainableCommander;
  }

  /** Adds a recording method per command. */
  static {
    for (const name of COMMANDS) {
      for (const method of [name, `${name}Buffer`]) {
        Object.defineProperty(Recorder.prototype, method, {
          value(this: Recorder, ...args: unknown[]) {
            return this.#record(method, name, args);
          },
          configurable: true,
          writable: true,
        });
      }
    }
    for (const method of ['call', 'callBuffer']) {
      Object.defineProperty(Recorder.prototype, method, {
        value(this: Recorder, name: string, ...args: unknown[]) {
          return this.#record(method, name, args, [name, ...args]);
        },
      });
    }
    // After the loop: here it means «now», not the command EXEC.
    Object.defineProperty(Recorder.prototype, 'exec', { value: Recorder.prototype.play });
  }

  private constructor(context: RecorderContext) {
    this.#context = context;
    for (const script of context.scripts ?? []) {
      Object.defineProperty(this, script, { value: (...args: unknown[]) => this.#record(script, script, args) });
    }
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Plays what was recorded, once. */
  play(callback?: Callback): Promise<unknown> {
    this.#executed ??= this.#context.replay(this.#exclusive, (connection) => {
      const batch = connection[this.#context.kind]() as unknown as Methods;
      for (const { method, args } of this.#entries) batch[method]?.(...args);
      return (batch as unknown as ChainableCommander).exec();
    });
    if (callback) this.#executed.then((result) => callback(null, result), callback);
    return this.#executed;
  }

  #record(method: string, name: string, args: unknown[], given = args): this {
    const kind = classify(name, args);
    if (kind === 'refused') throw new CommandRefusedError(this.#context.pool, name, USE_INSTEAD);
    // In a transaction a blocking command does not block.
    if (kind === 'exclusive' && this.#context.kind === 'pipeline') this.#exclusive = true;
    this.#entries.push({ method, args: given });
    return this;
  }
}
