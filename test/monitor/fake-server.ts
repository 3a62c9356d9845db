import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Something that listens on 127.0.0.1 and is no Redis, until the test is over. @returns its port. */
export async function listen(admit: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    admit(socket);
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Answers each command as it is sent; with nothing when the answer is `undefined`. */
export function answering(answer: (command: readonly string[], socket: Socket) => string | undefined): (socket: Socket) => void {
  return (socket) => {
    let left = '';
    socket.on('data', (bytes) => {
      left += bytes;
      for (let command = firstOf(left); command; command = firstOf(left)) {
        left = left.slice(command.length);
        const reply = answer(command.parts, socket);
        if (reply !== undefined && socket.writable) socket.write(reply);
      }
    });
  };
}

/** The first command of what was sent, when it is there as a whole. Of lengths alone it is read, as a server does. */
function firstOf(sent: string): { readonly parts: readonly string[]; readonly length: number } | undefined {
  const [head, count] = /^\*(\d+)\r\n/.exec(sent) ?? [];
  if (head === undefined) return undefined;
  const parts: string[] = [];
  let length = head.length;
  while (parts.length < Number(count)) {
    const [prefix, size] = /^\$(\d+)\r\n/.exec(sent.slice(length)) ?? [];
    if (prefix === undefined) return undefined;
    parts.push(sent.slice(length + prefix.length, length + prefix.length + Number(size)));
    length += prefix.length + Number(size) + 2;
  }
  return length <= sent.length ? { parts, length } : undefined;
}

/** What Redis says to a command that it has not. */
export function unknownCommand([name = '', ...rest]: readonly string[]): string {
  return `-ERR unknown command '${name}', with args beginning with: ${rest.map((part) => `'${part}'`).join(' ')}\r\n`;
}
