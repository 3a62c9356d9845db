/**
 *     open ── close() ──▶ draining ── all ended, or cancelled ──▶ unwinding ── all stopped ──▶ closed
 */
export type ScopeState = 'open' | 'draining' | 'unwinding' | 'closed';

/**
 * Who ends a scope. `open`: whoever made it, else its parent. `lexical`: the end of `withScope`'s body.
 * `inner`: the resource whose callbacks run in it.
 */
export type ScopeKind = 'open' | 'lexical' | 'inner';

export interface Failure {
  readonly error: unknown;
}

/** What came of the body of a scope. */
export type Outcome<R> = { readonly value: R } | Failure;
