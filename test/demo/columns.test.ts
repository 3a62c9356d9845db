import { describe, expect, it } from 'vitest';
import { columnsOf } from '../../demo/columns.ts';

describe('columnsOf', () => {
  const at = (atMs: number, opened: number) => ({ atMs, opened });

  it('shows in each column what was opened by its end', () => {
    expect(columnsOf([at(10, 1), at(90, 2), at(110, 3), at(290, 4)], 300, 3)).toEqual([2, 3, 4]);
  });

  it('reaches as far as the samples', () => {
    expect(columnsOf([at(0, 1), at(100, 2)], 1_000, 10)).toEqual([1, 2]);
  });

  it('repeats a column that no sample fell into', () => {
    expect(columnsOf([at(50, 7), at(350, 9)], 400, 4)).toEqual([7, 7, 7, 9]);
    expect(columnsOf([at(350, 9)], 400, 4)).toEqual([0, 0, 0, 9]);
  });

  it('keeps what comes late in the last column', () => {
    expect(columnsOf([at(50, 1), at(150, 2), at(230, 3)], 200, 2)).toEqual([1, 3]);
  });
});
