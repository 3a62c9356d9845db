/** Who subscribes. */
export interface Subject {
  readonly name: string;
  /** In a process of plain ioredis ours is not even loaded. */
  readonly library: 'ioredis' | 'scoped-pool';
  /** How often the heartbeat of ours asks; the default where it is absent. */
  readonly pingMs?: number;
}

export const IOREDIS: Subject = { name: 'ioredis', library: 'ioredis' };
/** What two of the same differ by is noise. */
export const IOREDIS_AGAIN: Subject = { name: 'ioredis, once more', library: 'ioredis' };
export const OURS: Subject = { name: 'scoped-pool', library: 'scoped-pool' };
/** So that it asks while it is measured. */
export const OURS_ASKING: Subject = { name: 'scoped-pool, pingMs 1,000', library: 'scoped-pool', pingMs: 1_000 };
