// Loaded for what it does: node --import scoped-pool/inspect/register app.js
import { serveInspection } from './server.ts';
import { printOnSignal } from './signal.ts';

printOnSignal();
// The program goes on without it.
serveInspection().catch((error: Error) => process.emitWarning(error));
