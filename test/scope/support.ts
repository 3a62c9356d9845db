import { expect } from 'vitest';
import type { Belonging } from '../../src/scope/belonging.ts';
import type { Lifetime } from '../../src/scope/lifetime.ts';
import { Scope } from '../../src/scope/scope.ts';

/** Matches an error of the library by its code. */
export const code = (name: string) => expect.objectContaining({ code: name });

/** A promise that the test settles. */
export function gate<T = void>() {
  let open: (value: T) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const passed = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { passed, open, fail };
}

/** Ends when the signal aborts, as well-behaved code does. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** Never ends, whatever it is told. */
export const forever = () => new Promise<never>(() => {});

/** A root whose reports are collected. */
export function rootWithReports(options: ConstructorParameters<typeof Scope>[0] = {}) {
  const reports: { error: unknown; from: string }[] = [];
  const root = new Scope({ parent: null, name: 'root', onSuppressed: (error, from) => void reports.push({ error, from }), ...options });
  return { root, reports };
}

/** What a pool keeps in a scope. */
export class FakeBelonging implements Belonging {
  prev: Belonging | undefined = undefined;
  next: Belonging | undefined = undefined;
  list: Belonging['list'] = undefined;
  readonly awaited: boolean;
  readonly heard: string[] = [];
  readonly leak: Error | undefined;
  onCancelled: (() => void) | undefined;

  constructor({ awaited = false, leak }: { awaited?: boolean; leak?: Error } = {}) {
    this.awaited = awaited;
    this.leak = leak;
  }

  onCancel(): void {
    this.heard.push('cancel');
    this.onCancelled?.();
  }

  onEnd(): Error | undefined {
    this.heard.push('end');
    return this.leak;
  }

  describe() {
    return { name: 'fake', kind: 'lease' as const, state: 'held', ageMs: 0, children: [] };
  }
}

/** Collects what Node would end the process for, while `fn` runs. */
export async function unhandledIn(fn: (heard: (count: number) => Promise<unknown[]>) => Promise<void>): Promise<void> {
  const errors: unknown[] = [];
  let changed = () => {};
  const before = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (error) => {
    errors.push(error);
    changed();
  });
  const heard = async (count: number) => {
    while (errors.length < count) await new Promise<void>((resolve) => (changed = resolve));
    return errors;
  };
  try {
    await fn(heard);
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of before) process.on('unhandledRejection', listener);
  }
}

/** Names in a tree, indented by nothing but nesting. */
export function outline(scope: Lifetime): unknown {
  const line = (node: ReturnType<Lifetime['tree']>): unknown => [`${node.kind} ${node.name} ${node.state}`, ...node.children.map(line)];
  return line(scope.tree());
}

/** Lets every promise that can settle without a timer settle. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
