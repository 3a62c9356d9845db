import { PROTOCOL, shared, VERSION } from '../context.ts';
import { IncompatibleCopyError } from '../errors.ts';

/** @throws IncompatibleCopyError when another copy of the library came first and is not understood. */
export function checkCopy(): void {
  if (shared.protocol !== PROTOCOL) throw new IncompatibleCopyError(VERSION, shared.version);
}
