import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable } from '../../src/monitor/printable.ts';

describe('printable', () => {
  it('makes of any text one line that a terminal shows as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        expect(printable(text)).toMatch(/^[\x20-\x7e]{0,210}$/);
      }),
    );
  });

  it('leaves alone what is harmless', () => {
    expect(printable('sp:shop-api:redis:12')).toBe('sp:shop-api:redis:12');
  });

  it('shows no credentials, nor any that are cut', () => {
    expect(printable('at redis://ann:hunter2@host:1/2')).toBe('at redis://***@host:1/2');
    const long = `redis://ann:${'hunter2'.repeat(100)}@host`;
    expect(printable(long)).toBe('redis://***');
    expect(printable(`redis://ann:hunter2@${'hunter2'.repeat(100)}@host`)).not.toContain('hunter2');
  });
});
