export { inspectProcess, type PoolReport, type ProcessInspection, type RootInspection } from './process.ts';
export { type InspectionOptions, type InspectionServer, serveInspection } from './server.ts';
export { printOnSignal } from './signal.ts';
export { scopesText } from './text.ts';
