export { expectNoLeaks, type NoLeaksOptions } from './leaks.ts';
export { type Fake, replacePool } from './replace-pool.ts';
export { type TestRootOptions, withTestRoot } from './test-root.ts';
