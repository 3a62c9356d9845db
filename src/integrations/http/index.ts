export { scopeFetch } from './fetch.ts';
export { type AnyListener, type Http2Listener, type Listener, scopeListener } from './listener.ts';
export {
  type FastifyLike,
  type HonoLike,
  type HonoMiddleware,
  type Middleware,
  type Plugin,
  scopeHono,
  scopeMiddleware,
  scopePlugin,
} from './middleware.ts';
export type { RequestLike, RequestOptions } from './options.ts';
export { type PoolReadiness, type Readiness, readiness } from './readiness.ts';
export { scopeServer } from './server.ts';
