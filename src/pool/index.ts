export type { Lease, Pool, PoolCloseOptions } from './api.ts';
export { definePool } from './define.ts';
export type { PoolHealth } from './health.ts';
export type { AcquireOptions, PoolFunctions, PoolOptions, PoolRules } from './options.ts';
export type { ConnectionFacts, LeaseFacts, PoolInspection, PoolStats, WaiterFacts } from './report.ts';
export type { CloseReason, SlotState } from './slot.ts';
export type { Priority } from './waiter.ts';
