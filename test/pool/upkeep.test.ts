import { describe, expect, it } from 'vitest';
import { onTick } from '../../src/pool/upkeep.ts';

const RULES = { min: 0, idleTimeoutMs: 100, maxLifetimeMs: Number.POSITIVE_INFINITY, keepaliveMs: Number.POSITIVE_INFINITY };
const free = (idleSince: number, createdAt = 0) => ({ state: 'free', createdAt, idleSince, provenAt: idleSince, jitter: 0 });
const held = (createdAt = 0) => ({ state: 'exclusive', createdAt, idleSince: Number.POSITIVE_INFINITY, provenAt: 0, jitter: 0 });

describe('onTick', () => {
  it('has nothing to do without slots', () => {
    expect(onTick([], RULES, 1_000)).toEqual({ retire: [], check: [], nextAt: Number.POSITIVE_INFINITY });
  });

  it('retires a slot at its idle timeout, not before', () => {
    const slot = free(50);
    expect(onTick([slot], RULES, 149)).toEqual({ retire: [], check: [], nextAt: 150 });
    expect(onTick([slot], RULES, 150).retire).toEqual([{ slot, reason: 'idle' }]);
  });

  it('never retires below min for idleness, and keeps those that were idle the shortest', () => {
    const [oldest, middle, newest] = [free(1), free(2), free(3)];
    const { retire, nextAt } = onTick([newest, oldest, middle], { ...RULES, min: 2 }, 1_000);
    expect(retire).toEqual([{ slot: oldest, reason: 'idle' }]);
    expect(nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  it('counts held slots towards min', () => {
    const slot = free(0);
    expect(onTick([held(), slot], { ...RULES, min: 1 }, 1_000).retire).toEqual([{ slot, reason: 'idle' }]);
    expect(onTick([held(), slot], { ...RULES, min: 2 }, 1_000).retire).toEqual([]);
  });

  it('retires a slot at its lifetime, held or not, whatever min says', () => {
    const rules = { ...RULES, min: 5, maxLifetimeMs: 500 };
    const [a, b] = [held(0), free(450, 0)];
    expect(onTick([a, b, held(1)], rules, 500)).toEqual({
      retire: [
        { slot: a, reason: 'lifetime' },
        { slot: b, reason: 'lifetime' },
      ],
      check: [],
      nextAt: 501,
    });
  });

  it('does not retire an idle one in place of one that goes for its age', () => {
    const rules = { ...RULES, min: 1, maxLifetimeMs: 500 };
    const [aged, young] = [held(0), free(300, 300)];
    expect(onTick([aged, young], rules, 500).retire).toEqual([{ slot: aged, reason: 'lifetime' }]);
  });

  it('looks again at the earliest of all that is coming', () => {
    expect(onTick([free(60), free(40), held()], RULES, 100).nextAt).toBe(140);
    expect(onTick([free(60, 10), held(5)], { ...RULES, maxLifetimeMs: 120 }, 100).nextAt).toBe(125);
  });

  it('retires each within the last tenth of its lifetime, by its own jitter', () => {
    const rules = { ...RULES, maxLifetimeMs: 1_000 };
    const [early, late] = [
      { ...held(), jitter: 0.09 },
      { ...held(), jitter: 0.01 },
    ];
    expect(onTick([early, late], rules, 909)).toMatchObject({ retire: [], nextAt: 910 });
    expect(onTick([early, late], rules, 910)).toMatchObject({ retire: [{ slot: early, reason: 'lifetime' }], nextAt: 990 });
  });

  it('has idle ones checked when they were proven long ago, not those that are held', () => {
    const rules = { ...RULES, idleTimeoutMs: 1_000, keepaliveMs: 50 };
    const [warm, cold, busy] = [free(40), { ...free(0), provenAt: 10 }, held()];
    expect(onTick([warm, cold, busy], rules, 59)).toMatchObject({ check: [], nextAt: 60 });
    expect(onTick([warm, cold, busy], rules, 60)).toEqual({ retire: [], check: [cold], nextAt: 90 });
  });

  it('checks those earlier that have more jitter, so that not all are checked at once', () => {
    const rules = { ...RULES, keepaliveMs: 100, idleTimeoutMs: 1_000 };
    const slots = [0, 0.05, 0.1].map((jitter) => ({ ...free(0), jitter }));
    expect(onTick(slots, rules, 90).check).toEqual([slots[2]]);
    expect(onTick(slots, rules, 95).check).toEqual([slots[1], slots[2]]);
    expect(onTick(slots, rules, 100).check).toEqual(slots);
  });

  it('checks none that goes for its age or its idleness', () => {
    const rules = { ...RULES, keepaliveMs: 50 };
    expect(onTick([free(0)], rules, 100)).toMatchObject({ check: [], retire: [{ reason: 'idle' }] });
    expect(onTick([free(0)], { ...rules, idleTimeoutMs: 1_000, maxLifetimeMs: 80 }, 100)).toMatchObject({
      check: [],
      retire: [{ reason: 'lifetime' }],
    });
  });

  it('keeps those of the minimum warm, too', () => {
    const slot = free(0);
    expect(onTick([slot], { ...RULES, min: 1, keepaliveMs: 50 }, 200)).toEqual({
      retire: [],
      check: [slot],
      nextAt: Number.POSITIVE_INFINITY,
    });
  });
});
