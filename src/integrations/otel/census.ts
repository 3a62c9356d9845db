import { enginesIn } from '../../pool/engines.ts';
import { statsOf } from '../../pool/report.ts';
import { openScopes } from '../../scope/open-scopes.ts';

/** What the pools of one name hold now, over all scopes that own one. */
export interface PoolTotals {
  readonly idle: number;
  readonly used: number;
  readonly open: number;
  readonly min: number;
  readonly max: number;
  readonly pending: number;
}

/** What is open in the process. */
export interface Census {
  /** By their names. */
  readonly pools: ReadonlyMap<string, PoolTotals>;
  readonly roots: number;
  /** Scopes below the roots. */
  readonly scopes: number;
}

/** What is counted of a pool that is open nowhere. */
export const NOTHING: PoolTotals = { idle: 0, used: 0, open: 0, min: 0, max: 0, pending: 0 };

/** Counts, and opens nothing. */
export function takeCensus(): Census {
  const pools = new Map<string, PoolTotals>();
  let roots = 0;
  let scopes = 0;
  for (const scope of openScopes()) {
    if (!scope.parent) roots++;
    else if (scope.kind !== 'inner') scopes++;
    // Roots and isolated scopes have some.
    for (const engine of enginesIn(scope)) {
      const { idle, inUse: used, open, max, pending } = statsOf(engine);
      const { name, rules } = engine;
      pools.set(name, sum(pools.get(name) ?? NOTHING, { idle, used, open, min: Math.min(rules.min, max), max, pending }));
    }
  }
  return { pools, roots, scopes };
}

function sum(a: PoolTotals, b: PoolTotals): PoolTotals {
  return {
    idle: a.idle + b.idle,
    used: a.used + b.used,
    open: a.open + b.open,
    min: a.min + b.min,
    max: a.max + b.max,
    pending: a.pending + b.pending,
  };
}
