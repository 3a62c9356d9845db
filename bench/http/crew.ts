import type { ChildProcess } from 'node:child_process';
import autocannon from 'autocannon';
import { answerOf, endChild, type Member, type Outcome, startChild, type Turns, takeTurns } from '../crew.ts';
import type { Answer, Question } from './child.ts';
import type { Subject } from './subjects.ts';

const CONNECTIONS = 20;
/** It looks so often whether all have been answered. */
const SAMPLE_MS = 20;

/** What a round took. */
export interface Cost {
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
}

/** Who is measured, and how. */
export interface Case extends Turns {
  readonly subjects: readonly Subject[];
}

export function measure({ subjects, ...turns }: Case): Promise<Outcome<Cost>> {
  return takeTurns(() => Promise.all(subjects.map(ServerProcess.start)), turns);
}

class ServerProcess implements Member<Cost> {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(name: string, child: ChildProcess, url: string) {
    this.name = name;
    this.#child = child;
    this.#url = url;
  }

  static async start(this: void, subject: Subject): Promise<ServerProcess> {
    const child = startChild(new URL('./child.js', import.meta.url), subject);
    const port = await answerOf<Answer>(child);
    return new ServerProcess(subject.name, child, `http://127.0.0.1:${port}/`);
  }

  /** @throws Error when a request was not answered. */
  async work(requests: number): Promise<Cost> {
    await this.#ask('begin');
    const begun = performance.now();
    const result = await autocannon({ url: this.#url, connections: CONNECTIONS, amount: requests, sampleInt: SAMPLE_MS });
    const ms = performance.now() - begun;
    const cpuUs = await this.#ask('end');
    if (result['2xx'] !== requests) throw new Error(`${this.name}: ${result['2xx']} of ${requests} requests were answered`);
    return { cpuUsPerRequest: cpuUs / requests, requestsPerSecond: (requests * 1_000) / ms };
  }

  end(): Promise<void> {
    return endChild(this.#child);
  }

  #ask(question: Question): Promise<Answer> {
    this.#child.send(question);
    return answerOf<Answer>(this.#child);
  }
}
