import type { Engine } from '../../pool/engine.ts';
import type { Lease, LeaseKind } from '../../pool/lease.ts';
import type { AcquireOptions } from '../../pool/options.ts';
import { Pool } from '../../pool/pool.ts';
import type { Scope } from '../../scope/index.ts';
import type { Redis } from '../ioredis.ts';

/** The pool of one node. It bears the name of the cluster, whose limits are its limits. */
export class NodePool extends Pool<Redis> {
  override lend(exclusive: boolean, kind: LeaseKind, options?: AcquireOptions): Lease<Redis> | Promise<Lease<Redis>> {
    return super.lend(exclusive, kind, options);
  }

  /** Drains, and leaves nothing in the root: the node may come back, to another pool. */
  async drain(root: Scope): Promise<void> {
    const engine = root.single(this) as Engine<Redis> | undefined;
    if (!engine) return;
    await engine.close(Number.POSITIVE_INFINITY);
    root.removeSingle(this, engine);
  }
}
