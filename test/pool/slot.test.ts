import { describe, expect, it } from 'vitest';
import { Slot, type SlotState } from '../../src/pool/slot.ts';

const states: SlotState[] = ['creating', 'free', 'checking', 'exclusive', 'shared', 'reserved', 'retiring', 'closing', 'closed'];
const pairs = states.flatMap((from) => states.map((to) => [from, to] as const));

/** Written down a second time, so that a change is noticed. */
const LEGAL = [
  'creating>free',
  'creating>closed',
  'free>exclusive',
  'free>shared',
  'free>checking',
  'free>closing',
  'checking>free',
  'checking>closing',
  'exclusive>free',
  'exclusive>checking',
  'exclusive>retiring',
  'shared>free',
  'shared>reserved',
  'shared>retiring',
  'reserved>free',
  'reserved>shared',
  'reserved>retiring',
  'retiring>closing',
  'closing>closed',
];

function movesOf(from: SlotState): SlotState[] {
  return states.filter((to) => {
    const slot = new Slot<string>();
    slot.state = from;
    try {
      slot.move(to);
      return true;
    } catch {
      return false;
    }
  });
}

describe('Slot.move', () => {
  it.each(pairs)('%s → %s is allowed exactly when it is listed', (from, to) => {
    const slot = new Slot<string>();
    slot.state = from;
    const move = () => slot.move(to);
    if (!LEGAL.includes(`${from}>${to}`)) {
      expect(move).toThrow(expect.objectContaining({ code: 'ERR_ILLEGAL_MOVE' }));
      expect(slot.state).toBe(from);
      return;
    }
    move();
    expect(slot.state).toBe(to);
  });

  it('has a way to closed from every state, and none out of it', () => {
    for (const state of states) expect(reachable(state)).toContain('closed');
    expect(movesOf('closed')).toEqual([]);
  });

  it('never leaves closing for anything but closed: a place is given free after its resource is gone', () => {
    expect(movesOf('closing')).toEqual(['closed']);
    expect(states.filter((state) => movesOf(state).includes('closed'))).toEqual(['creating', 'closing']);
  });
});

function reachable(from: SlotState): Set<SlotState> {
  const seen = new Set<SlotState>([from]);
  for (const state of seen) for (const next of movesOf(state)) seen.add(next);
  return seen;
}
