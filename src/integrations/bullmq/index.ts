export type { BullScopeOptions, LeakPolicy, WorkerFacts } from './options.ts';
export { type FlowLike, flow, type ProducerOptions, producer, type QueueLike } from './producer.ts';
export { type SandboxOptions, scopeSandbox } from './sandbox.ts';
export { scopeOf, scopeWorker } from './scope-worker.ts';
export { scoped } from './scoped.ts';
export { type ClosingOptions, type ClosingReport, shutdown } from './shutdown.ts';
export { handleSignals, type SignalOptions } from './signals.ts';
export { withScopes } from './with-scopes.ts';
export type { ProcessorLike, WorkerLike } from './worker.ts';
