import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { scopeWorker } from '../src/integrations/bullmq/index.ts';
import type { Phase } from './phases.ts';

/** Jobs that wait in the queue, so that no worker ever waits for one. */
const BACKLOG = 250;
const FEED_MS = 2;
const CLOSE_MS = 10_000;

/** The workers of one phase and the queue that feeds them. */
export class Crew {
  readonly errors: unknown[] = [];
  readonly #queue: Queue;
  readonly #workers: readonly Worker[];
  #feeding: Promise<void> | undefined;
  #isClosing = false;
  #added = 0;
  #ended = 0;

  constructor({ workers, concurrency, limit }: Phase, url: string, job: () => Promise<void>) {
    const connection = { url };
    const name = `scoped-pool-demo-${randomUUID()}`;
    this.#queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true, removeOnFail: true } });
    this.#queue.on('error', this.#note);
    this.#workers = Array.from({ length: workers }, () => {
      const worker = new Worker(name, job, { connection, concurrency, autorun: false });
      // Here, and nowhere else, the phases with a limit differ from those without.
      return limit === undefined ? worker : scopeWorker(worker, { limits: { redis: limit }, onError: this.#note });
    });
    for (const worker of this.#workers) this.#listen(worker);
  }

  /** Sets the workers to work, on jobs that do not run out. */
  async start(): Promise<void> {
    await Promise.all([this.#queue, ...this.#workers].map((part) => part.waitUntilReady()));
    this.#feeding = this.#feed().catch(this.#note);
    for (const worker of this.#workers) worker.run().catch(this.#note);
  }

  /** Waits for the jobs that run, closes the workers with all that is theirs, and removes the queue. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const tooLate = sleep(CLOSE_MS, `the workers did not close within ${CLOSE_MS} ms`, { ref: false });
    const failure = await Promise.race([this.#closeAll().catch((error: unknown) => error), tooLate]);
    if (failure) this.#note(failure);
  }

  async #closeAll(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await this.#feeding;
    await this.#queue.obliterate({ force: true });
    await this.#queue.close();
  }

  async #feed(): Promise<void> {
    while (!this.#isClosing) {
      if (this.#added - this.#ended < BACKLOG) await this.#fill();
      else await sleep(FEED_MS);
    }
  }

  async #fill(): Promise<void> {
    this.#added += BACKLOG;
    await this.#queue.addBulk(Array.from({ length: BACKLOG }, () => ({ name: 'job', data: {} })));
  }

  #listen(worker: Worker): void {
    const ended = () => this.#ended++;
    worker.on('error', this.#note);
    worker.on('completed', ended);
    worker.on('failed', (_job, error) => {
      ended();
      this.#note(error);
    });
  }

  readonly #note = (error: unknown): void => {
    this.errors.push(error);
  };
}
