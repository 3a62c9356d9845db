import { describe, expect, it } from 'vitest';
import { sparkline } from '../../src/monitor/sparkline.ts';

describe('sparkline', () => {
  it('draws each value as high as its part of the highest', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], { height: 1, top: 0 })).toEqual([' ▁▂▃▄▅▆▇█']);
  });

  it('stacks blocks over several lines', () => {
    expect(sparkline([4, 8, 12, 16], { height: 2, top: 0 })).toEqual(['  ▄█', '▄███']);
  });

  it('draws values as parts of the top, when that is higher', () => {
    expect(sparkline([5, 10], { height: 1, top: 10 })).toEqual(['▄█']);
    expect(sparkline([20], { height: 1, top: 10 })).toEqual(['█']);
  });

  it('shows a value that is small beside the highest', () => {
    expect(sparkline([1, 10_000], { height: 1, top: 0 })).toEqual(['▁█']);
  });

  it('draws nothing of nothing', () => {
    expect(sparkline([], { height: 2, top: 0 })).toEqual(['', '']);
    expect(sparkline([0, 0], { height: 1, top: 0 })).toEqual(['  ']);
  });
});
