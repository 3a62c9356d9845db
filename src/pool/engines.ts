import type { Scope } from '../scope/index.ts';
import { scopesFrom } from '../scope/open-scopes.ts';
import type { Engine } from './engine.ts';

/** The pools that are open in a scope and in all below it, of which isolated ones have pools of their own. */
export function enginesBelow(scope: Scope): Engine<unknown>[] {
  return [...scopesFrom(scope)].flatMap((each) => enginesIn(each));
}

/** The pools that are open in a root scope. */
export function enginesIn(root: Scope): Engine<unknown>[] {
  return [...root.singles].filter((single): single is Engine<unknown> => 'scheduler' in single);
}
