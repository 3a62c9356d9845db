import type { ChildProcess } from 'node:child_process';
import { Queue } from 'bullmq';
import { answerOf, endChild, type Member, type Outcome, startChild, type Turns, takeTurns } from '../crew.ts';
import type { Assignment, Cost, Report } from './child.ts';
import type { Subject } from './subjects.ts';

/** Jobs are added so many at a time. */
const BATCH = 1_000;

/** Who is measured, and how. */
export interface Case extends Turns {
  readonly subjects: readonly Subject[];
  readonly concurrency: number;
}

export function measure(url: string, { subjects, concurrency, ...turns }: Case): Promise<Outcome<Cost>> {
  const start = () => Promise.all(subjects.map((subject) => WorkerProcess.start(subject, url, concurrency)));
  return takeTurns(start, turns);
}

let queues = 0;

class WorkerProcess implements Member<Cost> {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #queue: Queue;

  private constructor(name: string, child: ChildProcess, queue: Queue) {
    this.name = name;
    this.#child = child;
    this.#queue = queue;
  }

  static async start(subject: Subject, url: string, concurrency: number): Promise<WorkerProcess> {
    const { hostname: host, port } = new URL(url);
    const queue = new Queue(`queue-${++queues}`, { connection: { host, port: Number(port) } });
    const assignment: Assignment = { subject, url, queue: queue.name, concurrency };
    const child = startChild(new URL('./child.js', import.meta.url), assignment);
    await answerOf<Report>(child);
    return new WorkerProcess(subject.name, child, queue);
  }

  /** All jobs are there when it begins. */
  async work(jobs: number): Promise<Cost> {
    await this.#queue.pause();
    const job = { name: 'job', data: {}, opts: { removeOnComplete: true } };
    for (let left = jobs; left > 0; left -= BATCH) await this.#queue.addBulk(Array.from({ length: Math.min(left, BATCH) }, () => job));
    this.#child.send(jobs);
    await answerOf<Report>(this.#child);
    const [cost] = await Promise.all([answerOf<Report>(this.#child), this.#queue.resume()]);
    return cost as Cost;
  }

  async end(): Promise<void> {
    await endChild(this.#child);
    await this.#queue.close();
  }
}
