import { describe, expect, it } from 'vitest';
import { Ledger } from '../../src/pool/ledger.ts';
import { Slot } from '../../src/pool/slot.ts';

describe('Rule 1: the ledger', () => {
  it('has an entry from before a resource is created until after it is closed', async () => {
    const ledger = new Ledger<string>();
    const slot = new Slot<string>();
    expect(ledger.size).toBe(0);
    const entering = ledger.enter(slot);
    expect(ledger.size).toBe(1);
    expect(await entering).toBe(slot);
    await ledger.strikeOut(slot);
    expect(ledger.size).toBe(0);
  });

  it('enters several at once, each as itself, and strikes them out in any order', async () => {
    const ledger = new Ledger<string>();
    const slots = Array.from({ length: 50 }, () => new Slot<string>());
    expect(await Promise.all(slots.map((slot) => ledger.enter(slot)))).toEqual(slots);
    expect(ledger.size).toBe(50);
    await Promise.all(slots.toReversed().map((slot) => ledger.strikeOut(slot)));
    expect(ledger.size).toBe(0);
  });

  // generic-pool counts a creation that has just ended as one to come, and then creates later, several at once.
  it.each([0, 1, 2, 3])('enters each slot once, however many ticks (%i) lie between them', async (ticks) => {
    const ledger = new Ledger<string>();
    const slots = Array.from({ length: 5 }, () => new Slot<string>());
    const entered: Promise<Slot<string>>[] = [];
    for (const slot of slots) {
      entered.push(ledger.enter(slot));
      for (let tick = 0; tick < ticks; tick++) await undefined;
    }
    const all = await Promise.all(entered);
    for (const [place, slot] of slots.entries()) expect(all[place]).toBe(slot);
    expect(ledger.size).toBe(5);
    for (const slot of slots) await ledger.strikeOut(slot);
    expect(ledger.size).toBe(0);
  });

  it('opens nothing by itself and sets no timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const ledger = new Ledger<string>();
    const slot = new Slot<string>();
    await ledger.enter(slot);
    await ledger.strikeOut(slot);
    expect(ledger.size).toBe(0);
    expect(timers()).toBe(before);
  });
});
