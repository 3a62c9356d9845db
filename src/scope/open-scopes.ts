import { shared } from '../context.ts';
import type { Scope } from './scope.ts';

/** Every scope of the process that is not closed, of whichever copy of the library. */
export function* openScopes(): Generator<Scope, void, undefined> {
  for (const root of shared.roots as ReadonlySet<Scope>) yield* scopesFrom(root);
}

/** A scope and all that are below it, those in which resources were started among them. */
export function* scopesFrom(scope: Scope): Generator<Scope, void, undefined> {
  yield scope;
  for (const below of scope.scopes) yield* scopesFrom(below as Scope);
}
