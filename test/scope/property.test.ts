import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scope, withRoot } from '../../src/scope/index.ts';
import { settled, untilAborted } from './support.ts';

const VERBS = [
  'spawn',
  'hanging task',
  'failing task',
  'child',
  'open',
  'failing open',
  'slow open',
  'onClose',
  'failing onClose',
  'cancel',
  'close',
  'turn',
] as const;
const ACTION = fc.record({ verb: fc.constantFrom(...VERBS), place: fc.nat(20) });

interface Action {
  readonly verb: (typeof VERBS)[number];
  readonly place: number;
}

/** A scope of the model: what was opened in it, in which order, and what failed there. */
interface Node {
  readonly scope: Scope;
  readonly parent: Node | undefined;
}

/** What happened, in order. */
interface Event {
  readonly what: 'started' | 'stopped';
  readonly id: number;
  readonly node: Node;
}

class Model {
  readonly nodes: Node[] = [];
  readonly events: Event[] = [];
  readonly calls: Promise<unknown>[] = [];
  readonly failures: unknown[] = [];
  /** What a task of the root threw, when that was the first failure of all. */
  first: unknown;
  /** What was thrown to who closed a scope, or reported. */
  readonly told: unknown[] = [];
  #ids = 0;

  constructor(root: Scope) {
    this.#add(root, undefined);
  }

  async act({ verb, place }: Action): Promise<void> {
    const node = this.nodes[place % this.nodes.length] as Node;
    const { scope } = node;
    if (verb === 'turn') return settled();
    if (verb === 'close') return this.#close(scope);
    if (verb === 'cancel') return scope.cancel();
    try {
      this.#begin(verb, node);
    } catch (error) {
      // Nothing can begin in a scope that is closing, closed or cancelled.
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_SCOPE_(CLOSED|CANCELLED)$/) });
    }
  }

  #close(scope: Scope): void {
    const told = (error: { code?: string }) => {
      // The body of the root closes the root, which cannot be awaited there.
      if (error.code !== 'ERR_SCOPE_DEADLOCK') this.told.push(error);
    };
    this.calls.push(scope.close().catch(told));
  }

  #begin(verb: Action['verb'], node: Node): void {
    const { scope } = node;
    const error = new Error(verb);
    const fail = () => {
      if (this.failures.length === 0 && verb === 'failing task' && !node.parent) this.first = error;
      this.failures.push(error);
      throw error;
    };
    if (verb === 'spawn') scope.spawn(settled);
    if (verb === 'hanging task') scope.spawn(({ signal }) => untilAborted(signal));
    if (verb === 'failing task') scope.spawn(fail);
    if (verb === 'child') this.#add(new Scope({ parent: scope, graceMs: 5 }), node);
    if (verb === 'open') this.#open(node, () => {});
    if (verb === 'slow open') this.#open(node, settled);
    if (verb === 'failing open') this.calls.push(scope.open(fail, () => expect.unreachable()).catch(() => {}));
    if (verb === 'onClose') this.#onClose(node, () => {});
    if (verb === 'failing onClose') this.#onClose(node, fail);
  }

  #add(scope: Scope, parent: Node | undefined): void {
    this.nodes.push({ scope, parent });
  }

  #open(node: Node, arrive: () => unknown): void {
    const id = this.#ids++;
    const start = async () => {
      this.events.push({ what: 'started', id, node });
      await arrive();
    };
    this.calls.push(node.scope.open(start, () => void this.events.push({ what: 'stopped', id, node })).catch(() => {}));
  }

  #onClose(node: Node, fn: () => void): void {
    const id = this.#ids++;
    node.scope.onClose(() => {
      this.events.push({ what: 'stopped', id, node });
      fn();
    });
    this.events.push({ what: 'started', id, node });
  }
}

function isBelow(node: Node, above: Node): boolean {
  for (let parent = node.parent; parent; parent = parent.parent) if (parent === above) return true;
  return false;
}

function check({ events, nodes }: Model): void {
  const stopped = events.filter(({ what }) => what === 'stopped');
  const started = events.filter(({ what }) => what === 'started');
  const ids = (list: Event[]) => list.map(({ id }) => id);
  expect(ids(stopped).sort((a, b) => a - b)).toEqual(ids(started).sort((a, b) => a - b));
  for (const node of nodes) {
    const mine = (list: Event[]) => ids(list.filter((event) => event.node === node));
    expect(mine(stopped)).toEqual(mine(started).reverse());
    const first = events.findIndex((event) => event.what === 'stopped' && event.node === node);
    const below = events.findLastIndex((event) => event.what === 'stopped' && isBelow(event.node, node));
    if (first >= 0) expect(below).toBeLessThan(first);
    expect([node.scope.state, node.scope.tree().children]).toEqual(['closed', []]);
  }
}

async function live(actions: readonly Action[]): Promise<{ model: Model; outcome: { error: unknown } | undefined }> {
  const hold: { model?: Model; reports: unknown[] } = { reports: [] };
  const ended = withRoot(
    async (root) => {
      hold.model = new Model(root);
      for (const action of actions) await hold.model.act(action);
    },
    { graceMs: 5, onSuppressed: (error) => void hold.reports.push(error) },
  );
  const outcome = await ended.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  const model = hold.model as Model;
  await Promise.all(model.calls);
  model.told.push(...hold.reports, ...(outcome ? [outcome.error] : []));
  return { model, outcome };
}

/** A scope that hands up several failures hands up one, which may be one of several further up. */
function eachOf(error: unknown): unknown[] {
  return error instanceof AggregateError ? error.errors.flatMap(eachOf) : [error];
}

describe('Any history of a scope tree', () => {
  it('stops what was started exactly once, children first, newest first; closes all; throws the first failure and loses none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(ACTION, { maxLength: 25 }), async (actions) => {
        const { model, outcome } = await live(actions);
        check(model);
        const told = model.told.flatMap(eachOf);
        expect(new Set(told)).toEqual(new Set(model.failures));
        if (model.first) expect(outcome?.error).toBe(model.first);
      }),
      { numRuns: 300 },
    );
  });
});
