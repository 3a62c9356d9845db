import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const SUFFIX = '.sock';
/** What the system has room for, a 0 at the end left out. */
const MOST_BYTES = process.platform === 'linux' ? 107 : 103;
/** The rights of group and others. */
const OTHERS = 0o077;

/** Where the processes of this user serve what they have open, one Unix socket each. Undefined where there are none, on Windows. */
export function socketFolder(): string | undefined {
  const user = process.getuid?.();
  return user === undefined ? undefined : join(tmpdir(), `scoped-pool-${user}`);
}

/** The socket of this process, or of this worker thread. */
export function socketPath(folder: string): string {
  return join(folder, `${process.pid}${threadId === 0 ? '' : `.${threadId}`}${SUFFIX}`);
}

/** @throws when the system would cut the path: Node 20 listens at what is left of it, which may lie in anybody's folder. */
export function checkPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length > MOST_BYTES) throw new Error(`the path has ${length} bytes of at most ${MOST_BYTES}; set TMPDIR to a shorter one`);
}

/**
 * Makes the folder, if it is not there yet, but not that for temporary files, which would be this user's alone then;
 * and in some places where none can be made Node 20 tries for ever. @throws when it is there, and is not this user's alone:
 * who else may write there could listen in.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (!isOurs(folder)) throw new Error(`${folder} is not a folder of this user alone`);
}

/** The sockets that are there, of processes that may have ended meanwhile. */
export function socketsIn(folder: string): readonly string[] {
  try {
    if (!isOurs(folder)) return [];
    return readdirSync(folder)
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** Whether nobody else may write or read there. */
function isOurs(folder: string): boolean {
  const { uid, mode } = lstatSync(folder);
  return uid === process.getuid?.() && (mode & OTHERS) === 0;
}
