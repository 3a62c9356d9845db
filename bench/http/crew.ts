import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { type Rounds, shuffled } from '../bench.ts';
import { answerOf } from '../child-process.ts';
import type { Answer, Question } from './child.ts';
import type { Subject } from './subjects.ts';

/** Requests that each process answers before it is measured: V8 goes on compiling for some thousands. */
const WARM_UP = 10_000;
const CONNECTIONS = 20;

/** What a round took. */
export interface Cost {
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
}

/** Who is measured, and how. */
export interface Case extends Rounds {
  readonly subjects: readonly Subject[];
  /** How often the processes are started anew: what chance has made of one must not stand for its subject. */
  readonly starts: number;
}

/** What each subject took, round by round; what was measured in the same round stands at the same place. */
export type Outcome = ReadonlyMap<string, readonly Cost[]>;

/** Each subject in a process of its own, one under load at a time, round after round, in an order that chance names. */
export async function measure({ subjects, starts, rounds, loops }: Case): Promise<Outcome> {
  const costs = new Map(subjects.map(({ name }): [string, Cost[]] => [name, []]));
  for (let start = 0; start < starts; start++) {
    const crew = await Promise.all(subjects.map(Member.start));
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

class Member {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(name: string, child: ChildProcess, url: string) {
    this.name = name;
    this.#child = child;
    this.#url = url;
  }

  static async start(this: void, subject: Subject): Promise<Member> {
    const child = fork(fileURLToPath(new URL('./child.js', import.meta.url)), [JSON.stringify(subject)]);
    const port = await answerOf<Answer>(child);
    return new Member(subject.name, child, `http://127.0.0.1:${port}/`);
  }

  /** Has it answer so many requests. @throws Error when one was not. */
  async work(requests: number): Promise<Cost> {
    await this.#ask('begin');
    const begun = performance.now();
    const result = await autocannon({ url: this.#url, connections: CONNECTIONS, amount: requests });
    const ms = performance.now() - begun;
    const cpuUs = await this.#ask('end');
    if (result['2xx'] !== requests) throw new Error(`${this.name}: ${result['2xx']} of ${requests} requests were answered`);
    return { cpuUsPerRequest: cpuUs / requests, requestsPerSecond: (requests * 1_000) / ms };
  }

  async end(): Promise<void> {
    this.#child.kill();
    await once(this.#child, 'exit');
  }

  #ask(question: Question): Promise<Answer> {
    this.#child.send(question);
    return answerOf<Answer>(this.#child);
  }
}
