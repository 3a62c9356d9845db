export { type Listener, scopeListener } from './listener.ts';
export type { RequestLike, RequestOptions } from './options.ts';
export { type PoolReadiness, type Readiness, readiness } from './readiness.ts';
export { type ServerLike, scopeServer } from './server.ts';
