/** Marks scopes, of whichever copy of the library. */
export const BRAND = Symbol.for('scoped-pool.scope');

export function isBranded(value: unknown): boolean {
  return typeof value === 'object' && value !== null && BRAND in value;
}
