export { CHANNELS } from './channels.ts';
export * from './errors.ts';
export * from './pool/index.ts';
export * from './scope/index.ts';
export * from './source/index.ts';
