import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionError, NoScopeError, NotOnRedisError, NoWorkerError, ScopeClosedError } from '../../errors.ts';
import { type Check, checkArgument, text } from '../../options.ts';
import { withoutFunctions } from '../../pool/define.ts';
import { type Scope, tryCurrentScope } from '../../scope/index.ts';
import { workerAround } from './around.ts';
import { type Connected, clientOf, type Made, type Plan, Produced, Producers } from './produced.ts';

/** A BullMQ `Queue`, 5 or 6, by its shape. */
export interface QueueLike {
  readonly name: string;
  readonly opts: object;
  addBulk(jobs: never[]): Promise<unknown>;
  getJobCounts(): Promise<unknown>;
  close(): Promise<void>;
}

/** A BullMQ `FlowProducer`, 5 or 6, by its shape. */
export interface FlowLike {
  readonly opts: object;
  addBulk(flows: never[]): Promise<unknown>;
  getFlow(options: never): Promise<unknown>;
  close(): Promise<void>;
}

/** Options of BullMQ for the queue or flow producer. Without `connection` it uses that of the worker around, and its `prefix`. */
export type ProducerOptions<Q extends { readonly opts: object } = QueueLike> = Partial<Q['opts']>;

/** A class of queues. */
export type QueueClass<Q extends QueueLike = QueueLike> = new (name: string, options: never) => Q;

/** A class of flow producers. */
export type FlowClass<F extends FlowLike = FlowLike> = new (options: never) => F;

/**
 * A class whose type parameters nobody gave and TypeScript does not find, because the constructors of BullMQ 6 are
 * overloaded: it takes `unknown` for them, which fits nowhere. The type of `prototype` has `any` in their place.
 */
type Open<L extends { readonly opts: object }> = (new (
  ...args: never[]
) => { readonly opts: { readonly connection: unknown } }) & {
  readonly prototype: L;
};

/** `never` for all other classes. */
type IfOpen<C extends Open<QueueLike> | Open<FlowLike>> = unknown extends InstanceType<C>['opts']['connection'] ? unknown : never;

/**
 * A queue to add jobs to, for use inside jobs: it sends its commands over the connection that the worker has anyway, so
 * that it opens none. One for each worker, however many of its jobs ask, closed with the worker's scope; until then do
 * not close it. It has the worker's `prefix`, unless told another.
 *
 * With a `connection` that is not the worker's, or where no worker is around (a sandboxed processor, a request), it opens
 * that connection, once in the root scope, and closes it with that.
 *
 * @throws NoScopeError, NoWorkerError without a worker and a `connection`, NotOnRedisError, ScopeClosedError,
 * InvalidOptionError, also for other options than those it was made with first, ScopeCancelledError while it waits for Redis.
 */
export function producer<C extends Open<QueueLike>>(
  Queue: C & IfOpen<C>,
  name: string,
  options?: ProducerOptions<C['prototype']>,
): Promise<C['prototype']>;
export function producer<Q extends QueueLike>(Queue: QueueClass<Q>, name: string, options?: ProducerOptions<Q>): Promise<Q>;
export async function producer<Q extends QueueLike>(Queue: QueueClass<Q>, name: string, options: ProducerOptions<Q> = {}): Promise<Q> {
  checkArgument('producer()', 'its first argument', Queue, queueClass);
  checkArgument('producer()', 'the name of the queue', name, text);
  const Class = Queue as unknown as new (name: string, options: object) => Made & Q;
  return produce({ where: `producer("${name}")`, what: `queue "${name}"`, Class, name, options, make: (all) => new Class(name, all) });
}

/** As {@link producer}, for flows: `await (await flow(FlowProducer)).add({ … })`. @throws as `producer`. */
export function flow<C extends Open<FlowLike>>(
  FlowProducer: C & IfOpen<C>,
  options?: ProducerOptions<C['prototype']>,
): Promise<C['prototype']>;
export function flow<F extends FlowLike>(FlowProducer: FlowClass<F>, options?: ProducerOptions<F>): Promise<F>;
export async function flow<F extends FlowLike>(FlowProducer: FlowClass<F>, options: ProducerOptions<F> = {}): Promise<F> {
  checkArgument('flow()', 'its first argument', FlowProducer, flowClass);
  const Class = FlowProducer as unknown as new (options: object) => Made & F;
  return produce({ where: 'flow()', what: 'flow producer', Class, name: '', options, make: (all) => new Class(all) });
}

/** What is asked for. */
interface Wanted<Q extends Made> extends Pick<Plan<Q>, 'where' | 'what' | 'Class' | 'name' | 'make'> {
  readonly options: Asked;
}

/** What is read of the options; all of them reach BullMQ. */
interface Asked {
  readonly connection?: object | undefined;
  readonly prefix?: string | undefined;
}

/** A worker, as far as its queues are like it. */
interface Model extends Connected {
  readonly name: string;
  readonly opts: Asked;
}

async function produce<Q extends Made>(wanted: Wanted<Q>): Promise<Q> {
  const { where, options } = wanted;
  checkArgument(where, 'options', options, record);
  const scope = tryCurrentScope();
  if (!scope) throw new NoScopeError(where);
  const around = workerAround(scope);
  const worker = around?.worker as (Model & object) | undefined;
  if (around && worker && isItsOwn(worker, options)) return keep(overThat(wanted, worker, around.scope), around.scope, scope);
  if (!options.connection) throw new NoWorkerError(where, scope.name);
  return keep(overAnother(wanted, scope.root), scope.root, scope);
}

/** Whether these options mean the connection that the worker has. */
function isItsOwn({ opts }: Model, { connection }: Asked): boolean {
  if (!connection || connection === opts.connection) return true;
  const both = [connection, opts.connection];
  // Two clients are two connections, however alike.
  return both.every(isRecord) && isDeepStrictEqual(...(both.map(withoutFunctions) as [object, object]));
}

/** Over the connection of the worker. */
function overThat<Q extends Made>(wanted: Wanted<Q>, worker: Model, holder: Scope): Plan<Q> {
  const { connection: _, ...options } = wanted.options;
  const complete = async () => {
    const connection = await clientOf(worker);
    if (!connection) throw new NotOnRedisError(wanted.where, worker.name);
    // It is closed before its scope.
    if (connection.status === 'end' && holder.state !== 'open') throw new ScopeClosedError(holder.name, holder.state);
    const { prefix = worker.opts.prefix, ...rest } = options;
    return { ...rest, ...(prefix === undefined ? {} : { prefix }), connection };
  };
  return { ...wanted, options, complete, onError: undefined };
}

/** Over a connection of its own, or over a client of the user's. */
function overAnother<Q extends Made>(wanted: Wanted<Q>, holder: Scope): Plan<Q> {
  const { what, options } = wanted;
  return { ...wanted, complete: async () => options, onError: (error) => holder.report(error, what) };
}

/** Gives the one that the scope has, or makes it. */
function keep<Q extends Made>(plan: Plan<Q>, holder: Scope, scope: Scope): Promise<Q> {
  const producers = Producers.of(holder);
  const existing = producers.get(plan);
  if (existing) checkSame(plan, existing.plan);
  const produced = existing ?? new Produced(plan, holder);
  if (!existing) producers.add(produced);
  const { value } = produced;
  if (value) return Promise.resolve(value);
  // What stops something may still add a job.
  return scope.state === 'unwinding' ? produced.ready : scope.unlessCancelled(produced.ready);
}

/** @throws InvalidOptionError when the one that is there was made with other options. Functions may differ. */
function checkSame({ where, what, options }: Plan<Made>, first: Plan<Made>): void {
  if (options === first.options) return;
  const [asked, known] = [options, first.options].map(withoutFunctions) as [Values, Values];
  for (const option of Object.keys({ ...known, ...asked })) {
    if (isDeepStrictEqual(asked[option], known[option])) continue;
    const expected = `what it was when the ${what} of this scope was made, for all share it (make one of other options with scope.open())`;
    throw new InvalidOptionError({ where, option, expected, actual: asked[option] });
  }
}

type Values = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

const record: Check = (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object');
const queueClass: Check = (value) => (hasMethods(value, ['addBulk', 'getJobCounts']) ? undefined : 'the class Queue of BullMQ 5 or 6');
const flowClass: Check = (value) => (hasMethods(value, ['addBulk', 'getFlow']) ? undefined : 'the class FlowProducer of BullMQ 5 or 6');

function hasMethods(value: unknown, methods: readonly string[]): boolean {
  if (typeof value !== 'function') return false;
  const prototype = value.prototype as Readonly<Record<string, unknown>> | undefined;
  return methods.every((method) => typeof prototype?.[method] === 'function');
}
