import { describe, expect, it } from 'vitest';
import { printableInside } from '../../src/monitor/inside.ts';
import { worstOf } from '../../src/monitor/places.ts';
import { placeRow, poolRow } from './support.ts';

const MAIL = 'file:///app/mail.js:42:7';

describe('worstOf', () => {
  const leak = placeRow({ site: MAIL, leases: 12, grown: 9, oldestMs: 11_000, heldMs: 70_000 });
  const loop = placeRow({ site: 'file:///app/loop.js:1:1', leases: 5, oldestMs: 9e6, heldMs: 45e6 });
  const busy = placeRow({ site: 'file:///app/busy.js:1:1', leases: 50, grown: 50, oldestMs: 1_999, heldMs: 300 });
  const unsampled = placeRow({ leases: 400, grown: 90, oldestMs: 9e6, heldMs: 9e9 });
  const waiting = placeRow({ site: 'file:///app/late.js:1:1', waiting: 99, oldestMs: 60_000 });

  it('is not what holds one connection for hours, nor what is only busy, nor what nobody can name', () => {
    expect(worstOf([unsampled, loop, busy, leak, waiting])).toBe(leak);
    expect(worstOf([{ ...loop, leases: 20 }, leak])).toBe(leak);
    expect(worstOf([unsampled, loop])).toBe(loop);
    expect(worstOf([unsampled, busy])).toBe(unsampled);
    expect(worstOf([busy, waiting])).toBeUndefined();
  });

  it('is what leaks before what holds, as long as it goes on leaking', () => {
    const leaked = placeRow({ site: 'file:///app/forgets.js:1:1', leaked: 90, leakedLately: 1 });
    expect(worstOf([leak, leaked])).toBe(leaked);
    expect(worstOf([leak, { ...leaked, leakedLately: 0 }])).toBe(leak);
    expect(worstOf([{ ...leaked, leakedLately: 0 }])).toBeUndefined();
  });

  it('is of two that grow alike the one that has more', () => {
    const more = { ...leak, leases: 13 };
    expect(worstOf([leak, more])).toBe(more);
    expect(worstOf([more, leak])).toBe(more);
  });
});

describe('printableInside', () => {
  it('shows a terminal no more than characters, and nobody credentials', () => {
    const evil = '\x1b[2Jredis://ann:hunter2@host';
    const shown = '?[2Jredis://***@host';
    const long = `${evil}/${'a/'.repeat(2_000)}mail.ts:42:7`;
    const end = expect.stringMatching(/^[a/]+\/mail\.ts:42:7$/);
    const process_ = { pid: 1, thread: 0, uptimeMs: 5 };
    const opening = { opened: 1, grown: 1, lastMs: 5, pid: 1 };
    expect(
      printableInside({
        processes: [{ ...process_, script: long, version: evil }],
        pools: [poolRow({ pool: evil, scope: evil, error: evil, max: null })],
        places: [placeRow({ pool: evil, scope: evil, site: long, stack: [long, evil] }), placeRow({})],
        openings: [{ ...opening, site: long, stack: [evil], server: evil }],
        failures: [{ address: evil, reason: evil }],
      }),
    ).toEqual({
      processes: [{ ...process_, script: end, version: shown }],
      pools: [poolRow({ pool: shown, scope: shown, error: shown, max: null })],
      places: [placeRow({ pool: shown, scope: shown, site: end, stack: [end, shown] }), placeRow({})],
      openings: [{ ...opening, site: end, stack: [shown], server: shown }],
      failures: [{ address: shown, reason: shown }],
    });
  });
});
