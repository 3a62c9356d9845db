export { ahead } from './ahead.ts';
export type { Source } from './item.ts';
export type { RestartLimits } from './policy.ts';
export { type Resumed, type ResumePolicy, resume, type SourceRestart } from './resume.ts';
export { type Restart, type SupervisedContext, type SuperviseOptions, supervise, type TaskRestart } from './supervise.ts';
