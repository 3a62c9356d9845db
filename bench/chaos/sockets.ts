import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const CHANNEL = 'net.client.socket';

/** Counts the sockets of this process that are connected to a port, whoever made them. */
export class Sockets {
  /** Most that were open at a time. */
  most = 0;
  readonly #port: number;
  readonly #open = new Set<Socket>();

  constructor(port: number) {
    this.#port = port;
    subscribe(CHANNEL, this.#watch);
  }

  get open(): number {
    return this.#open.size;
  }

  stop(): void {
    unsubscribe(CHANNEL, this.#watch);
  }

  readonly #watch = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    socket.once('connect', () => {
      if (socket.remotePort !== this.#port) return;
      this.#open.add(socket);
      this.most = Math.max(this.most, this.#open.size);
    });
    socket.once('close', () => this.#open.delete(socket));
  };
}
