import { definePool, type PoolOptions } from '../../src/pool/index.ts';

/** What the fake pools of these tests lend. */
export interface Connection {
  readonly id: number;
  isOpen: boolean;
  /** Tells the pool that it died. */
  die(cause?: unknown): void;
}

/** A promise, settled from outside. */
export interface Gate<T = void> {
  readonly promise: Promise<T>;
  open(value: T): void;
  fail(error: unknown): void;
}

export function gate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

/** Lets everything run that needs no timer. */
export async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** The far end of a pool: counts what is open where it is opened and closed, and can be told to be slow or to fail. */
export class Server {
  /** Everything that `create` ever made. */
  readonly made: Connection[] = [];
  attempts = 0;
  open = 0;
  /** Most that were open, or being opened or closed, at a time. */
  peak = 0;
  #place = 0;
  /** Awaited in `create` and in `destroy`. */
  onCreate: (signal: AbortSignal) => unknown = () => {};
  onDestroy: (connection: Connection) => unknown = () => {};

  get last(): Connection | undefined {
    return this.made.at(-1);
  }

  readonly create = async ({ signal }: { signal: AbortSignal }): Promise<Connection> => {
    this.attempts++;
    this.peak = Math.max(this.peak, ++this.#place);
    try {
      await this.onCreate(signal);
    } catch (error) {
      this.#place--;
      throw error;
    }
    const connection: Connection = { id: this.made.length + 1, isOpen: true, die: () => {} };
    this.made.push(connection);
    this.open++;
    return connection;
  };

  readonly destroy = async (connection: Connection): Promise<void> => {
    if (!connection.isOpen) throw new Error(`connection ${connection.id} destroyed twice`);
    connection.isOpen = false;
    this.open--;
    try {
      await this.onDestroy(connection);
    } finally {
      this.#place--;
    }
  };

  readonly onDead = (connection: Connection, report: (cause?: unknown) => void): void => {
    connection.die = report;
  };
}

let pools = 0;

/** A name that no other test uses: pools are known process-wide. */
export function poolName(): string {
  return `pool-${++pools}`;
}

/** A pool of a fake server. */
export function poolOf(server: Server, options: Partial<PoolOptions<Connection>> = {}) {
  const { create, destroy, onDead } = server;
  return definePool<Connection>(poolName(), { create, destroy, onDead, ...options });
}
