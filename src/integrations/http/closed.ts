import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A response of `http` or `https`, or of the compatibility API of `http2`. */
type Closable = ServerResponse & { readonly stream?: { readonly closed: boolean } };

/** Calls `fn` when nothing can be sent any more, and at once if so already: middleware may have waited before. Node says it once. */
export function whenClosed(request: IncomingMessage, response: Closable, fn: () => void): void {
  const { socket } = request;
  const isInLine = !response.socket;
  if (response.closed || response.stream?.closed || (isInLine && socket?.closed)) return fn();
  if (!isInLine || !socket) return void response.on('close', fn);
  // Behind others of its connection (pipelining): when that breaks before its turn has come, Node does not tell of its close.
  const forget = whenBroken(socket, fn);
  response.once('close', () => {
    if (forget()) fn();
  });
}

const inLine = new WeakMap<Socket, Set<() => void>>();

/** With one listener for each connection: many requests may be in its line. @returns takes it back, and whether it was not called. */
function whenBroken(socket: Socket, fn: () => void): () => boolean {
  const known = inLine.get(socket);
  const waiting = known ?? new Set<() => void>();
  if (!known) {
    inLine.set(socket, waiting);
    socket.once('close', () => {
      for (const each of waiting) {
        waiting.delete(each);
        each();
      }
    });
  }
  waiting.add(fn);
  return () => waiting.delete(fn);
}
