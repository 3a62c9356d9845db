export { type ObserveOptions, observe } from './observe.ts';
export type { SpanChoice } from './spans.ts';
