import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { type Rounds, shuffled } from '../bench.ts';
import { answerOf } from '../child-process.ts';
import type { Assignment, Cost, Report } from './child.ts';
import type { Subject } from './subjects.ts';

/** Jobs that each process does before it is measured: V8 goes on compiling for some thousands. */
const WARM_UP = 10_000;

/** Jobs are added so many at a time. */
const BATCH = 1_000;

/** Who is measured, and how. */
export interface Case extends Rounds {
  readonly subjects: readonly Subject[];
  readonly concurrency: number;
  /** How often the processes are started anew: what chance has made of one must not stand for its subject. */
  readonly starts: number;
}

/** What each subject took, round by round; what was measured in the same round stands at the same place. */
export type Outcome = ReadonlyMap<string, readonly Cost[]>;

/** Each subject in a process of its own, one at a time, round after round, in an order that chance names. */
export async function measure(url: string, { subjects, concurrency, starts, rounds, loops }: Case): Promise<Outcome> {
  const costs = new Map(subjects.map(({ name }): [string, Cost[]] => [name, []]));
  for (let start = 0; start < starts; start++) {
    const crew = await Promise.all(subjects.map((subject) => Member.start(subject, url, concurrency)));
    try {
      for (const member of crew) await member.work(WARM_UP);
      for (let round = 0; round < rounds / starts; round++) {
        for (const member of shuffled(crew)) costs.get(member.name)?.push(await member.work(loops));
      }
    } finally {
      await Promise.all(crew.map((member) => member.end()));
    }
  }
  return costs;
}

let queues = 0;

class Member {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #queue: Queue;

  private constructor(name: string, child: ChildProcess, queue: Queue) {
    this.name = name;
    this.#child = child;
    this.#queue = queue;
  }

  static async start(subject: Subject, url: string, concurrency: number): Promise<Member> {
    const { hostname: host, port } = new URL(url);
    const queue = new Queue(`queue-${++queues}`, { connection: { host, port: Number(port) } });
    const assignment: Assignment = { subject, url, queue: queue.name, concurrency };
    const child = fork(fileURLToPath(new URL('./child.js', import.meta.url)), [JSON.stringify(assignment)]);
    await answerOf<Report>(child);
    return new Member(subject.name, child, queue);
  }

  /** Has it do so many jobs, all of which are there when it begins. */
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
    this.#child.kill();
    await once(this.#child, 'exit');
    await this.#queue.close();
  }
}
