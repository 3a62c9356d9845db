import { AsyncLocalStorage } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { atRoot, currentFrame, enterFrame, shared, VERSION } from '../src/context.ts';

const frame = () => ({ scope: {}, work: undefined, held: undefined });

describe('context', () => {
  it('carries the frame across awaits and timers, and nowhere else', async () => {
    const entered = frame();
    await enterFrame(entered, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(currentFrame()).toBe(entered);
    });
    expect(currentFrame()).toBeUndefined();
  });

  it('hides every store at the root, ours and foreign ones, also from what is begun there', async () => {
    const foreign = new AsyncLocalStorage<string>();
    const seen = await foreign.run('request', () =>
      enterFrame(frame(), () =>
        atRoot(async () => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          return [currentFrame(), foreign.getStore()];
        }),
      ),
    );
    expect(seen).toEqual([undefined, undefined]);
  });

  it('gives back what runs at the root', () => {
    expect(atRoot(() => 7)).toBe(7);
  });

  it('has one AsyncLocalStorage in the process, whoever loads it again', async () => {
    vi.resetModules();
    const second = await import('../src/context.ts');
    expect(second.currentFrame).not.toBe(currentFrame);
    expect(second.shared).toBe(shared);
    const entered = frame();
    expect(enterFrame(entered, () => second.currentFrame())).toBe(entered);
  });

  it('knows the version of the package', () => {
    const manifest: { version: string } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    expect(VERSION).toBe(manifest.version);
  });
});
