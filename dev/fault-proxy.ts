import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout } from 'node:timers';

type Direction = 'requests' | 'replies';

/** One client, and the server it talks to through us. */
interface Wire {
  readonly client: Socket;
  readonly server: Socket | undefined;
  /** The directions in which bytes vanish. */
  lost: ReadonlySet<Direction>;
}

const NOTHING: ReadonlySet<Direction> = new Set();
const EVERYTHING: ReadonlySet<Direction> = new Set(['requests', 'replies']);

/** A TCP proxy on 127.0.0.1 that fails as networks do. */
export class FaultProxy {
  readonly host = '127.0.0.1';
  /** Connections that were let in, whatever became of them. */
  accepted = 0;
  /** What becomes of new connections: served, let in and never answered, or reset. */
  admit: 'pass' | 'silent' | 'reset' = 'pass';
  /** Where new connections lead. */
  target: { readonly host: string; readonly port: number };
  /** How much later all bytes arrive, in milliseconds and in each direction. */
  delayMs = 0;
  readonly #wires = new Set<Wire>();
  #listener: Server | undefined;
  #port = 0;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.target = target;
  }

  /** Listens on a free port and leads to `target`. */
  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `redis://${this.host}:${this.#port}`;
  }

  /** Connections that are open through the proxy now. */
  get open(): number {
    return this.#wires.size;
  }

  /** Bytes of the open connections vanish, and nobody is told: a pulled cable. New connections are not concerned. */
  blackHole(...directions: Direction[]): void {
    const lost = directions.length === 0 ? EVERYTHING : new Set(directions);
    for (const wire of this.#wires) wire.lost = lost;
  }

  /** Ends `blackHole()`: connections that were in it are reset, for TCP never goes on behind a gap. */
  heal(): void {
    for (const wire of this.#wires) if (wire.lost.size > 0) cut(wire);
  }

  /** Resets the open connections (RST). */
  reset(): void {
    for (const wire of this.#wires) cut(wire);
  }

  /** Ends the open connections in order (FIN), as a server does that shuts down. */
  finish(): void {
    for (const { client } of this.#wires) client.end();
  }

  /** Holds all bytes of the open connections back until `resume()`; none is lost. */
  pause(): void {
    for (const socket of this.#sockets()) socket.pause();
  }

  resume(): void {
    for (const socket of this.#sockets()) socket.resume();
  }

  /** Resets the open connections and refuses new ones until `accept()`. */
  async refuse(): Promise<void> {
    const listener = this.#listener;
    if (!listener) return;
    this.#listener = undefined;
    const closed = once(listener, 'close');
    listener.close();
    this.reset();
    await closed;
  }

  /** Listens again, on the same port. */
  async accept(): Promise<void> {
    if (this.#listener) return;
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#admit(client));
    listener.listen(this.#port, this.host);
    await once(listener, 'listening');
    this.#listener = listener;
    const address = listener.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    await this.refuse();
  }

  #sockets(): readonly Socket[] {
    return [...this.#wires].flatMap(({ client, server }) => (server ? [client, server] : [client]));
  }

  #admit(client: Socket): void {
    this.accepted++;
    client.on('error', () => {});
    if (this.admit === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const server = this.admit === 'pass' ? this.#dial() : undefined;
    const wire: Wire = { client, server, lost: NOTHING };
    this.#wires.add(wire);
    client.once('close', () => {
      this.#wires.delete(wire);
      server?.destroy();
    });
    if (!server) {
      client.resume();
      return;
    }
    server.once('close', () => client.destroy());
    this.#forward(wire, client, server, 'requests');
    this.#forward(wire, server, client, 'replies');
  }

  #dial(): Socket {
    const server = connect({ host: this.target.host, port: this.target.port, allowHalfOpen: true, noDelay: true });
    return server.on('error', () => {});
  }

  #forward(wire: Wire, from: Socket, to: Socket, direction: Direction): void {
    const held: (() => void)[] = [];
    from.on('data', (bytes) => {
      if (!wire.lost.has(direction)) this.#later(held, () => to.writable && to.write(bytes));
    });
    from.on('end', () => {
      if (!wire.lost.has(direction)) this.#later(held, () => to.end());
    });
  }

  /** Whatever is held back leaves in the order in which it came, also when the delay has changed meanwhile. */
  #later(held: (() => void)[], fn: () => void): void {
    if (this.delayMs === 0 && held.length === 0) {
      fn();
      return;
    }
    held.push(fn);
    setTimeout(() => held.shift()?.(), this.delayMs);
  }
}

function cut({ client, server }: Wire): void {
  client.resetAndDestroy();
  server?.destroy();
}
