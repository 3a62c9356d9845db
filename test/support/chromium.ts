import { findBinary } from '../../dev/server-process.ts';

/** Where Chromium is, if it is. */
export const CHROMIUM = findBinary(['chromium']);

/** Why no page can be looked at, or undefined when one can. */
export const lacksChromium = CHROMIUM === undefined ? 'no chromium on the PATH (Debian: apt-get install chromium)' : undefined;
