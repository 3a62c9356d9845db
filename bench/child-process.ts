import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** The next message of a child. @throws when the child ends instead. */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController();
  const exit = once(child, 'exit', { signal: over.signal }).then(([code]) => Promise.reject(new Error(`child ended with ${code}`)));
  exit.catch(() => {});
  try {
    return (await Promise.race([once(child, 'message', { signal: over.signal }), exit]))[0] as T;
  } finally {
    over.abort();
  }
}
