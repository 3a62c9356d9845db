import type { ChildProcess } from 'node:child_process';
import { answerOf, endChild, startChild } from '../crew.ts';
import type { Account, Assignment, Question, Report } from './child.ts';

/** How long after it was published a message may come, in milliseconds: one that comes later counts as missing. */
const LATE_MS = 10_000;

/** Processes whose connections have all subscribed to the same channel. */
export class Crew {
  readonly #children: readonly ChildProcess[];
  readonly #connections: number;

  private constructor(children: readonly ChildProcess[], connections: number) {
    this.#children = children;
    this.#connections = connections;
  }

  /** Resolves when all are subscribed. */
  static async start(processes: number, assignment: Assignment): Promise<Crew> {
    const children = Array.from({ length: processes }, () => startChild(new URL('./child.js', import.meta.url), assignment));
    const crew = new Crew(children, processes * assignment.connections);
    try {
      await Promise.all(children.map((child) => answerOf<Report>(child)));
    } catch (error) {
      await crew.end();
      throw error;
    }
    return crew;
  }

  get connections(): number {
    return this.#connections;
  }

  /** What has come, when all has come up to that number, or is late. */
  async account(upTo: number): Promise<Account> {
    const question: Question = { upTo, withinMs: LATE_MS };
    const accounts = await Promise.all(
      this.#children.map((child) => {
        child.send(question);
        return answerOf<Account>(child);
      }),
    );
    const sum = (of: (account: Account) => number) => accounts.reduce((total, account) => total + of(account), 0);
    return {
      delivered: sum(({ delivered }) => delivered),
      strays: sum(({ strays }) => strays),
      gaps: sum(({ gaps }) => gaps),
      cpuUs: sum(({ cpuUs }) => cpuUs),
      latenciesMs: accounts.flatMap(({ latenciesMs }) => latenciesMs),
    };
  }

  /** Calls back for each child that says up to which number all has come to it. @returns stops that. */
  onPassed(fn: (child: ChildProcess, number: number) => void): () => void {
    const listeners = this.#children.map((child) => {
      const listener = (number: unknown) => fn(child, number as number);
      child.on('message', listener);
      return () => child.off('message', listener);
    });
    return () => {
      for (const stop of listeners) stop();
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map(endChild));
  }
}
