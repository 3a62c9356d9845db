import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const CHANNEL = 'net.client.socket';

/** Counts the connections of this process as they open and close, so that none is too short to be seen. */
export class Sockets {
  #opened = 0;
  #open = 0;
  #peak = 0;

  constructor() {
    subscribe(CHANNEL, this.#onSocket);
  }

  /** Connections opened since the counting began. */
  get opened(): number {
    return this.#opened;
  }

  /** Connections open now. */
  get open(): number {
    return this.#open;
  }

  /** The most that were open at one time since the last `forgetPeak()`. */
  get peak(): number {
    return this.#peak;
  }

  forgetPeak(): void {
    this.#peak = this.#open;
  }

  stop(): void {
    unsubscribe(CHANNEL, this.#onSocket);
  }

  readonly #onSocket = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    socket.once('connect', () => this.#onOpen(socket));
  };

  #onOpen(socket: Socket): void {
    this.#opened++;
    this.#open++;
    this.#peak = Math.max(this.#peak, this.#open);
    let isOpen = true;
    const ended = () => {
      if (isOpen) this.#open--;
      isOpen = false;
    };
    // What the server has closed is closed for the server, though it takes us a moment to take our end down.
    socket.once('end', ended).once('close', ended);
  }
}
