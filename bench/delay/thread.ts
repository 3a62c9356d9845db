import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { Wires } from './proxy.ts';

/** The thread of a {@link DelayProxy}: listens, and posts the port. */
async function serve({ host, port, delayMs }: Wires): Promise<void> {
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host, port, noDelay: true });
    forward(client, server, delayMs);
    forward(server, client, delayMs);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  parentPort?.postMessage((listener.address() as AddressInfo).port);
}

/** Timers of one length keep their order, and so do the bytes. */
function forward(from: Socket, to: Socket, delayMs: number): void {
  const later = (fn: () => void) => (delayMs > 0 ? setTimeout(fn, delayMs) : fn());
  from.on('data', (bytes) => later(() => to.writable && to.write(bytes)));
  from.on('error', () => {});
  from.on('close', () => later(() => to.destroy()));
}

await serve(workerData as Wires);
