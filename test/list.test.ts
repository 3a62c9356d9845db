import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Linked, List } from '../src/list.ts';

class Node implements Linked<Node> {
  prev: Node | undefined = undefined;
  next: Node | undefined = undefined;
  list: List<Node> | undefined = undefined;
}

function backwards(list: List<Node>): Node[] {
  const nodes: Node[] = [];
  for (let node = list.last; node; node = node.prev) nodes.push(node);
  return nodes;
}

const ACTIONS = fc.array(fc.record({ action: fc.constantFrom('push', 'insert', 'remove', 'removeStranger'), place: fc.nat(30) }), {
  maxLength: 60,
});

describe('List', () => {
  it('does whatever an array does', () => {
    fc.assert(
      fc.property(ACTIONS, (actions) => {
        const list = new List<Node>();
        const model: Node[] = [];
        for (const { action, place } of actions) {
          apply(list, model, action, place % (model.length + 1));
          expect([...list]).toEqual(model);
          expect(backwards(list)).toEqual([...model].reverse());
          expect([list.size, list.first, list.last]).toEqual([model.length, model[0], model.at(-1)]);
        }
      }),
    );
  });

  it('keeps nothing of a member that was removed', () => {
    const list = new List<Node>();
    const nodes = [new Node(), new Node(), new Node()];
    for (const node of nodes) list.push(node);
    for (const node of nodes) {
      expect(node.list).toBe(list);
      expect(list.remove(node)).toBe(true);
      expect([node.prev, node.next, node.list]).toEqual([undefined, undefined, undefined]);
    }
  });

  it('may lose the member just visited, also every one', () => {
    const list = new List<Node>();
    for (let count = 0; count < 5; count++) list.push(new Node());
    let visited = 0;
    for (const node of list) {
      visited++;
      list.remove(node);
    }
    expect([visited, list.size]).toEqual([5, 0]);
  });
});

function apply(list: List<Node>, model: Node[], action: string, place: number): void {
  const node = new Node();
  if (action === 'push') {
    list.push(node);
    model.push(node);
  } else if (action === 'insert') {
    // In front of all at place 0, else behind the member before that place.
    list.insertAfter(model[place - 1], node);
    model.splice(place, 0, node);
  } else if (action === 'remove') {
    const member = model[place];
    if (!member) return;
    expect(list.remove(member)).toBe(true);
    expect(list.remove(member)).toBe(false);
    model.splice(place, 1);
  } else {
    const other = new List<Node>();
    other.push(node);
    expect(list.remove(node)).toBe(false);
    expect(other.size).toBe(1);
  }
}
