import { definePool, Scope } from '../../src/index.ts';
import type { Subject } from '../bench.ts';

/** One pool of the copy of the library that this file lies beside. */
export interface Looped {
  /** Acquires and releases, one after the other. */
  readonly loop: Subject;
  close(): Promise<void>;
}

export function looped(name: string): Looped {
  const root = new Scope({ parent: null, name });
  const pool = definePool(name, { create: () => ({}) });
  const loop = async (loops: number) => {
    for (let at = 0; at < loops; at++) (await pool.acquire()).release();
  };
  return { loop: (loops) => root.run(() => loop(loops)), close: () => root.close() };
}
