import { ServerFullError } from '../errors.ts';
import type { Redis, SentCommand } from './ioredis.ts';

/** What a server says to whom it does not let in. Then it closes, whatever was asked. */
const REFUSAL = /^(?:ERR max number of clients|DENIED )/;

/**
 * Hears why a server lets nobody in, while the connection is being made. To be called when it has begun to connect.
 * ioredis greets with several writes, and the second one to a socket that is closed already is an EPIPE, after which
 * Node reads no more: what the server had said is lost. So the greeting goes out in one piece, and nothing after it
 * until the first answer. Over TLS a server says nothing, and closes.
 *
 * @returns what ends the listening.
 */
export function hearRefusal(owner: string, connection: Redis, refuse: (error: Error) => void): () => void {
  const send = connection.sendCommand;
  let hasBegun = false;
  connection.sendCommand = (command, stream) => {
    if (!hasBegun) holdBack(connection);
    hasBegun = true;
    (command as unknown as SentCommand).promise.catch((error: Error) => {
      if (REFUSAL.test(error.message)) refuse(/^ERR/.test(error.message) ? new ServerFullError(owner, error) : error);
    });
    return send.call(connection, command, stream);
  };
  return () => {
    connection.sendCommand = send;
  };
}

function holdBack({ stream }: Redis): void {
  stream.cork();
  process.nextTick(() => {
    // What was written leaves; what comes stays.
    stream.uncork();
    stream.cork();
    stream.once('data', () => stream.uncork());
  });
}
