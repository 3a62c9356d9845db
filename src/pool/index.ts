export type { Lease, Pool, PoolCloseOptions } from './api.ts';
export { definePool } from './define.ts';
export type { AcquireOptions, PoolFunctions, PoolOptions, PoolRules } from './options.ts';
export type { PoolStats } from './report.ts';
export type { CloseReason } from './slot.ts';
