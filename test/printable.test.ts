import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { legible, printable, printablePlace } from '../src/printable.ts';

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
    expect(printable('redis://ann:hun/ter2?@host:1/2')).toBe('redis://***@host:1/2');
    expect(printable('redis://host?db=1&password=hunter2&family=4')).toBe('redis://host?db=1&password=***&family=4');
    const long = `redis://ann:${'hunter2'.repeat(100)}@host`;
    expect(printable(long)).toBe('redis://***');
    expect(printable(`redis://ann:hunter2@${'hunter2'.repeat(100)}@host`)).not.toContain('hunter2');
  });
});

describe('legible', () => {
  it('leaves alone what can be read, in all languages', () => {
    expect(legible('naïve größe 数 👍')).toBe('naïve größe 数 👍');
    expect(legible('file:///app/node_modules/@a/b@1/c.js:1:2')).toBe('file:///app/node_modules/@a/b@1/c.js:1:2');
  });

  it('makes of any text one line without what directs it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1_000 }), (text) => {
        expect(legible(text)).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{0,510}$/u);
      }),
    );
    expect(legible('a\u202eb\u2028c\u0000')).toBe('a?b?c?');
  });

  it('shows no credentials, nor any that are cut', () => {
    expect(legible('at redis://ann:hun/ter2@host:1/2?password=hunter2')).toBe('at redis://***@host:1/2?password=***');
    expect(legible(`redis://ann:${'hunter2'.repeat(100)}@host`)).toBe('redis://***');
  });
});

describe('printablePlace', () => {
  it('keeps of a long path the end, with its line, as one line that a terminal shows as it is', () => {
    expect(printablePlace('file:///app/mail.js:42:7')).toBe('file:///app/mail.js:42:7');
    expect(printablePlace(`file:///${'a/'.repeat(5_000)}mail\x1b.js:42:7`)).toMatch(/^[a/]{100,190}mail\?\.js:42:7$/);
  });

  it('shows no credentials, nor any that are cut', () => {
    expect(printablePlace('redis://ann:hunter2@host/mail.js:42:7')).toBe('redis://***@host/mail.js:42:7');
    for (const length of [300, 980, 1_100]) {
      expect(printablePlace(`redis://ann:${'hunter2'.repeat(500)}@host/${'a'.repeat(length)}:42:7`)).not.toContain('hunter2');
    }
    expect(printablePlace(`redis://ann:${'hunter2'.repeat(500)}@host`)).toBe('');
  });
});
