import { within } from '../../clock.ts';
import { atRoot } from '../../context.ts';
import { InvalidOptionError, ScopeClosedError, ScopeTimeoutError } from '../../errors.ts';
import { STOP_TIMEOUT_MS } from '../../scope/cleanup.ts';
import { asOne } from '../../scope/failures.ts';
import type { Scope } from '../../scope/index.ts';

/** A connection to Redis as BullMQ hands it out, whatever the driver. */
export interface Client {
  readonly status?: string;
  disconnect(): unknown;
}

/** What has a connection of BullMQ: 6 keeps it in a backend, 5 did itself. */
export interface Connected {
  getBackend?(): { readonly client?: Promise<Client> };
  readonly client?: Promise<Client>;
}

/** The connection; `undefined` on a backend that is not Redis. */
export async function clientOf(connected: Connected): Promise<Client | undefined> {
  return connected.getBackend ? connected.getBackend().client : connected.client;
}

/** What BullMQ has made: a queue or a flow producer. */
export interface Made extends Connected {
  readonly opts: { readonly connection?: unknown };
  /** There once `close()` was called. */
  readonly closing?: unknown;
  /** In 5, what speaks with Redis. */
  readonly connection?: { on(event: 'error', listener: () => void): unknown };
  on(event: 'error', listener: (error: unknown) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

/** How one is made. */
export interface Plan<Q extends Made> {
  /** Who asks, as the user wrote it. */
  readonly where: string;
  /** What it is, for messages. */
  readonly what: string;
  readonly Class: object;
  readonly name: string;
  /** Options that tell it from others of the same class and name. */
  readonly options: object;
  /** All options, with the connection to use. */
  complete(): Promise<object>;
  make(options: object): Q;
  /** Told of a connection that nobody else tells of. */
  readonly onError: ((error: unknown) => void) | undefined;
}

const noop = () => {};

/** A queue or flow producer that lives as long as a scope. */
export class Produced<Q extends Made> {
  readonly plan: Plan<Q>;
  readonly ready: Promise<Q>;
  readonly #holder: Scope;
  #made: Q | undefined;
  #isReady = false;
  #closed: Promise<void> | undefined;

  constructor(plan: Plan<Q>, holder: Scope) {
    this.plan = plan;
    this.#holder = holder;
    // In the context of nobody: a socket keeps that in which it connects.
    this.ready = atRoot(() => holder.run(() => this.#open()));
  }

  /** What is there without waiting. */
  get value(): Q | undefined {
    return this.#isReady ? this.#made : undefined;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #open(): Promise<Q> {
    const { where, Class, make, complete, onError = noop } = this.plan;
    const options = await complete();
    if (this.#closed) throw new ScopeClosedError(this.#holder.name, this.#holder.state);
    const made = make(options);
    this.#made = made;
    made.on('error', onError);
    try {
      if (made.opts?.connection !== (options as Made['opts']).connection) {
        const expected = 'a class that hands its options on to BullMQ, or it would open a connection of its own';
        throw new InvalidOptionError({ where, option: 'its first argument', expected, actual: Class });
      }
      await made.waitUntilReady();
    } catch (error) {
      await this.close().catch((failure: unknown) => this.#holder.report(failure, where));
      throw error;
    }
    this.#isReady = true;
    return made;
  }

  async #close(): Promise<void> {
    const made = this.#made;
    if (!made) return;
    const closing = made.close();
    const isLate = (await within(closing, STOP_TIMEOUT_MS)) === 'late';
    // What BullMQ 5 still waits for may fail later, and it tells of it though nobody listens any more.
    made.connection?.on('error', noop);
    if (!isLate) return;
    closing.catch(noop);
    if (!isClient(made.opts.connection)) void clientOf(made).then((client) => client?.disconnect());
    throw new ScopeTimeoutError(this.#holder.name, [`stop of ${this.plan.what}`], STOP_TIMEOUT_MS);
  }
}

/** Whether it is a connection of somebody else, and not the options of one. */
function isClient(connection: unknown): boolean {
  return typeof (connection as Partial<Client> | undefined)?.disconnect === 'function';
}

/** All that live as long as one scope. */
export class Producers {
  readonly #all = new Map<object, Map<string, Produced<Made>>>();
  #isClosing = false;

  /** Those of a scope. @throws ScopeClosedError */
  static of(holder: Scope): Producers {
    const existing = holder.single(Producers) as Producers | undefined;
    if (existing) {
      // Nobody would close one that is made now.
      if (existing.#isClosing) throw new ScopeClosedError(holder.name, holder.state);
      return existing;
    }
    const producers = new Producers();
    holder.addSingle(Producers, producers);
    return producers;
  }

  get<Q extends Made>({ Class, name }: Plan<Q>): Produced<Q> | undefined {
    const produced = this.#all.get(Class)?.get(name) as Produced<Q> | undefined;
    // A job has closed it, as was right for a queue of its own. A closed flow producer adds nothing, and says nothing.
    return produced?.value?.closing ? undefined : produced;
  }

  /** Keeps one, unless it fails. */
  add<Q extends Made>(produced: Produced<Q>): void {
    const { Class, name } = produced.plan;
    const ofClass = this.#all.get(Class) ?? new Map<string, Produced<Made>>();
    this.#all.set(Class, ofClass.set(name, produced as unknown as Produced<Made>));
    produced.ready.catch(() => ofClass.delete(name));
  }

  /** Called by the scope. All at once: none stands on another. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const all = [...this.#all.values()].flatMap((ofClass) => [...ofClass.values()]);
    const ended = await Promise.allSettled(all.map((produced) => produced.close()));
    const errors = ended.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    if (errors.length > 0) throw asOne(errors, 'queues and flow producers');
  }
}
