import { describe, expect, it } from 'vitest';
import { SlotTable, slotOf } from '../../../src/redis/cluster/slots.ts';
import { useCluster } from './support.ts';

const cluster = useCluster();

describe('the slot of a key', () => {
  it.each([
    ...['', 'k', 'größe', '{a}b', 'a{b}c', 'a{b}{c}', 'a{b', 'a}b{c}', '{}', '{}a', 'a{}{b}', 'a{{b}}', '123456789', 'x'.repeat(300)],
    ...[7, 1e21, Buffer.from([255, 123, 200, 125, 0]), Buffer.alloc(70, 255)],
  ])('is as the server says: %j', async (key) => {
    expect(slotOf('get', [key])).toBe(
      await cluster()
        .observer(cluster().masters[0])
        .cluster('KEYSLOT', key as string),
    );
  });

  it('is that of the first argument of a command that is not known', () => {
    for (const key of ['k', 7, Buffer.from('k')]) expect(slotOf('JSON.GET', [key])).toBe(slotOf('get', [key]));
    expect(slotOf('FT._LIST', [])).toBeUndefined();
    expect(slotOf('PUBLISH', ['channel', 'text'])).toBeUndefined();
  });

  it('is found with a prefix that is text or a Buffer', () => {
    for (const [prefix, whole] of [
      ['p:', 'p:7'],
      ['{p}', '{p}7'],
      [Buffer.from('{p'), '{p7'],
    ] as const)
      expect(slotOf('get', [7], prefix as string)).toBe(slotOf('get', [whole]));
  });
});

describe('the table of slots', () => {
  it('names each node that owns slots once, as they are known by now', () => {
    const table = new SlotTable();
    expect(table.nodes).toEqual([]);
    table.adopt([
      { first: 0, last: 0, owner: 'a:1' },
      { first: 1, last: 9, owner: 'b:1' },
      { first: 10, last: 16_383, owner: 'a:1' },
    ]);
    expect(table.nodes).toEqual(['a:1', 'b:1']);
    for (let slot = 1; slot < 10; slot++) table.move(slot, 'c:1');
    expect(table.nodes).toEqual(['a:1', 'c:1']);
    table.adopt([{ first: 0, last: 16_383, owner: 'b:1' }]);
    expect(table.nodes).toEqual(['b:1']);
  });

  it('is not gone through again for each command that any node can do', () => {
    const table = new SlotTable();
    table.adopt([{ first: 0, last: 16_383, owner: 'a:1' }]);
    expect(table.nodes).toBe(table.nodes);
  });
});
