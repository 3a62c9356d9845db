export { definePool } from './define.ts';
export type { Lease } from './lease.ts';
export type { AcquireOptions, PoolFunctions, PoolOptions, PoolRules } from './options.ts';
export type { Pool, PoolCloseOptions } from './pool.ts';
export type { PoolStats } from './report.ts';
export type { CloseReason } from './slot.ts';
