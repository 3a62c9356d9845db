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
});
