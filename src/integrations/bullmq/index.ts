export type { ScopeWorkerOptions } from './options.ts';
export { scopeOf, scopeWorker } from './scope-worker.ts';
export type { WorkerLike } from './worker.ts';
