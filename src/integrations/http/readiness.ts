import { checkArgument } from '../../options.ts';
import type { Engine } from '../../pool/engine.ts';
import { enginesIn } from '../../pool/engines.ts';
import type { PoolHealth } from '../../pool/health.ts';
import { type PoolStats, statsOf } from '../../pool/report.ts';
import type { Scope } from '../../scope/index.ts';
import { isScope } from './options.ts';

/** What a readiness probe is told of one pool. */
export type PoolReadiness = Pick<PoolHealth, 'state'> & Pick<PoolStats, 'max' | 'open' | 'inUse' | 'pending'>;

/** Whether a server can take requests. */
export interface Readiness {
  readonly ready: boolean;
  /** For the answer to a probe: 200 or 503. */
  readonly status: 200 | 503;
  /** By their names, the pools that have been used in the scope. */
  readonly pools: Readonly<Record<string, PoolReadiness>>;
}

/**
 * Whether the server whose scope this is can take requests: it is open, and no pool that it has used is down. False as
 * soon as the scope begins to close, or is cancelled. Waits for nothing; a pool that is down tries again when it is asked.
 */
export function readiness(server: Scope): Readiness {
  checkArgument('readiness()', 'its argument', server, isScope);
  const pools = Object.fromEntries(enginesIn(server.root).map((engine) => [engine.name, readinessOf(engine)]));
  const ready = server.state === 'open' && !server.isStopped && Object.values(pools).every(({ state }) => state !== 'down');
  return { ready, status: ready ? 200 : 503, pools };
}

function readinessOf(engine: Engine<unknown>): PoolReadiness {
  const { max, open, inUse, pending } = statsOf(engine);
  return { state: engine.health().state, max, open, inUse, pending };
}
