import { once } from 'node:events';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';

/** What the thread of a proxy is told. */
export interface Wires {
  readonly host: string;
  /** Of the server it leads to. */
  readonly port: number;
  readonly delayMs: number;
}

/** A network between us and a server, in a thread of its own: all bytes arrive later, none is lost. */
export class DelayProxy {
  readonly url: string;
  readonly #thread: Worker;

  private constructor(thread: Worker, port: number) {
    this.#thread = thread;
    this.url = `redis://127.0.0.1:${port}`;
  }

  /** Listens on a free port. @param wires.delayMs How much later, in each direction. */
  static async start(wires: Wires): Promise<DelayProxy> {
    const thread = new Worker(new URL('./thread.js', import.meta.url), { workerData: wires });
    const [port] = (await once(thread, 'message')) as [number];
    return new DelayProxy(thread, port);
  }

  /** How long its thread was busy up to now; the difference of two tells whether the proxy is what is measured. */
  get utilization(): EventLoopUtilization {
    return this.#thread.performance.eventLoopUtilization();
  }

  async stop(): Promise<void> {
    await this.#thread.terminate();
  }
}
