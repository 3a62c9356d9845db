import type { Scope } from '../scope/index.ts';
import type { Engine } from './engine.ts';

/** The pools that are open in a root scope. */
export function enginesIn(root: Scope): Engine<unknown>[] {
  return [...root.singles].filter((single): single is Engine<unknown> => 'scheduler' in single);
}
