import { describe, expect, it } from 'vitest';
import { type History, observe } from '../../../src/monitor/history.ts';
import { type Inside, NOBODY } from '../../../src/monitor/inside.ts';
import { MOST_ROWS, type NameRow } from '../../../src/monitor/web/page/messages.ts';
import { sortedBy } from '../../../src/monitor/web/page/order.ts';
import { shotOf } from '../../../src/monitor/web/shot.ts';
import { nameFacts, poolRow, sampleAt } from '../support.ts';

const seen = (names: readonly NameRow[], inside: Partial<Inside> = {}): History =>
  observe(undefined, sampleAt(0, { names }), 10_000, { ...NOBODY, ...inside });

const MANY = Array.from({ length: 5_000 }, (_, index) =>
  nameFacts({ name: `name-${index}`, connections: index, grown: (index * 7) % 5_000, oldestS: (index * 13) % 5_000, blocked: index % 2 }),
);

describe('what the page is sent', () => {
  it.each(Object.keys(nameFacts({})) as (keyof NameRow)[])('has of thousands of names those that are first by %s', (column) => {
    const { names } = shotOf(seen(MANY), 'a:1');
    expect(names.count).toBe(5_000);
    expect(sortedBy(names.rows, column).slice(0, MOST_ROWS)).toEqual(sortedBy(MANY, column).slice(0, MOST_ROWS));
    expect(JSON.stringify(names).length).toBeLessThan(300_000);
  });

  it('sorts numbers from the highest, texts by the alphabet, and equal ones by growth', () => {
    const rows = [
      nameFacts({ name: 'b', idle: 1 }),
      nameFacts({ name: 'a', idle: 1 }),
      nameFacts({ name: 'c', idle: 1, fresh: 1 }),
      nameFacts({ name: 'd', idle: 2 }),
    ];
    expect(sortedBy(rows, 'idle').map(({ name }) => name)).toEqual(['d', 'c', 'a', 'b']);
    expect(sortedBy(rows, 'name').map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('holds no credentials, and nothing that is not to be read', () => {
    const secret = 'redis://ann:hunter2@host\u202e\n\u0007é';
    const shown = 'redis://***@host???é';
    const pool = { pid: 1, thread: 0, inUse: 1, idle: 0, creating: 0, max: 2, pending: 0, timeouts: 0, leaked: 0, health: 'down' } as const;
    const holders = [true, false].map((waits) => ({ scope: secret, pid: 1, ageMs: 61_000, waits, exclusive: waits }));
    const place = { leases: 1, grown: 1, waiting: 0, leaked: 0, leakedLately: 0, oldestMs: 1, pid: 1, heldMs: 1, holders };
    const inside: Inside = {
      processes: [{ pid: 1, thread: 2, script: `/app/${'redis:'}x\u202e.js`, version: '1\u0007', uptimeMs: 61_000 }],
      pools: [{ ...pool, pool: secret, scope: secret, error: secret }],
      places: [{ ...place, pool: secret, scope: secret, site: `file:///${secret}`, stack: [secret] }],
      openings: [{ site: secret, stack: [secret], server: secret, opened: 3, grown: 2, lastMs: 1, pid: 1 }],
      failures: [{ address: secret, reason: secret }],
    };
    const shot = shotOf(seen([], inside), 'a:1');
    expect(shot.pools.rows).toEqual([expect.objectContaining({ pool: shown, scope: shown, error: shown })]);
    expect(shot.places.rows).toEqual([expect.objectContaining({ pool: shown, scope: shown, stack: [shown] })]);
    expect(shot.places.rows[0]?.holders).toEqual([
      `waits exclusively for 1m by scope ${shown}, process 1`,
      `held shared for 1m by scope ${shown}, process 1`,
    ]);
    expect(shot.openings.rows).toEqual([expect.objectContaining({ site: shown, server: shown, stack: [shown] })]);
    expect(shot.failures).toEqual([`${shown}: ${shown}`]);
    expect(shot.processes).toEqual(['redis:x?.js (process 1, thread 2, scoped-pool 1?, for 1m)']);
    expect(JSON.stringify(shot)).not.toMatch(/hunter2|ann:/);
  });

  it('tells worker threads of one process apart, as the terminal does', () => {
    const pools = [0, 2].map((thread) => poolRow({ pid: 4711, thread }));
    expect(shotOf(seen([], { pools }), 'a:1').pools.rows.map(({ process }) => process)).toEqual(['4711', '4711.2']);
  });

  it('is bounded, whatever processes say', () => {
    const place = {
      leases: 1,
      grown: 1,
      waiting: 0,
      leaked: 0,
      leakedLately: 0,
      oldestMs: 1,
      pid: 1,
      heldMs: 1,
      pool: 'p',
      scope: 's',
      stack: ['x'.repeat(5_000)],
      holders: [],
    };
    const places = Array.from({ length: 1_000 }, (_, index) => ({ ...place, site: `${index}:${'y'.repeat(5_000)}` }));
    const shot = shotOf(seen([], { places }), 'a:1');
    expect([shot.places.rows.length, shot.places.count]).toEqual([MOST_ROWS, 1_000]);
    expect(JSON.stringify(shot).length).toBeLessThan(MOST_ROWS * 2_500);
  });
});
