import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.doUnmock('../../src/clock.ts');
  vi.resetModules();
});

it('ends the look ten seconds after the last one, of whichever copy of the library', async () => {
  const timers = new Map<object, { readonly ms: number; readonly fn: () => void }>();
  vi.doMock('../../src/clock.ts', async (original) => ({
    ...(await original<object>()),
    afterIdly: (ms: number, fn: () => void) => {
      const timer = {};
      timers.set(timer, { ms, fn });
      return timer;
    },
    cancel: (timer: object) => timers.delete(timer),
  }));
  const { look } = await import('../../src/inspect/look.ts');
  const { shared } = await import('../../src/context.ts');
  look();
  look();
  vi.resetModules();
  const copy = await import('../../src/inspect/look.ts');
  expect(copy.look).not.toBe(look);
  copy.look();
  expect([...timers.values()].map(({ ms }) => ms)).toEqual([10_000]);
  expect(shared.look).toBeDefined();
  for (const { fn } of timers.values()) fn();
  expect(shared.look).toBeUndefined();
});
