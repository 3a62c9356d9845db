export type { TreeNode } from './belonging.ts';
export type { CloserOptions } from './cleanup.ts';
export { currentScope, tryCurrentScope, withRoot, withScope } from './current.ts';
export type { Held, Lender } from './kept.ts';
export type { Limit, Limits } from './limits.ts';
export type { CloseOptions, ScopeOptions } from './options.ts';
export { Scope } from './scope.ts';
export type { ScopeState } from './state.ts';
export type { SpawnOptions, Task, TaskContext } from './task.ts';
