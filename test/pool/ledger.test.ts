import { describe, expect, it } from 'vitest';
import { Ledger } from '../../src/pool/ledger.ts';
import type { Slot } from '../../src/pool/slot.ts';

describe('Ledger', () => {
  // generic-pool counts a creation that has just ended as one to come, and then creates later, several at once.
  it.each([0, 1, 2, 3])('enters each slot once, however many ticks (%i) lie between them', async (ticks) => {
    const ledger = new Ledger<object>(5);
    const slots = Array.from({ length: 5 }, (_, id) => ({ id }) as unknown as Slot<object>);
    const entered: Promise<Slot<object>>[] = [];
    for (const slot of slots) {
      entered.push(ledger.enter(slot));
      for (let tick = 0; tick < ticks; tick++) await undefined;
    }
    expect(await Promise.all(entered)).toEqual(slots);
    expect(ledger.size).toBe(5);
    for (const slot of slots) await ledger.strikeOut(slot);
    expect(ledger.size).toBe(0);
  });
});
