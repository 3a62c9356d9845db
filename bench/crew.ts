import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Rounds, shuffled } from './bench.ts';

/** A subject in a process of its own. */
export interface Member<C> {
  readonly name: string;
  /** Has it do its work so many times. @returns what that took. */
  work(loops: number): Promise<C>;
  end(): Promise<void>;
}

export interface Turns extends Rounds {
  /** How often the processes are started anew: what chance has made of one must not stand for its subject. */
  readonly starts: number;
  /** What each process does before it is measured: V8 goes on compiling for some thousands of loops. */
  readonly warmUp: number;
}

/** What each subject took, round by round; what was measured in the same round stands at the same place. */
export type Outcome<C> = ReadonlyMap<string, readonly C[]>;

/** Measures processes, one at a time, round after round, in an order that chance names. */
export async function takeTurns<C>(start: () => Promise<readonly Member<C>[]>, turns: Turns): Promise<Outcome<C>> {
  const { starts, rounds, warmUp, loops } = turns;
  const costs = new Map<string, C[]>();
  for (let begun = 0; begun < starts; begun++) {
    const crew = await start();
    try {
      for (const member of crew) await member.work(warmUp);
      for (let round = 0; round < rounds / starts; round++) {
        for (const member of shuffled([...crew])) costs.set(member.name, [...(costs.get(member.name) ?? []), await member.work(loops)]);
      }
    } finally {
      await Promise.all(crew.map((member) => member.end()));
    }
  }
  return costs;
}

/** Starts a program of the benches, that ends with this process. */
export function startChild(file: URL, assignment: object): ChildProcess {
  return fork(fileURLToPath(file), [JSON.stringify(assignment)]);
}

export async function endChild(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}

/** The next message of a child. @throws when the child ends instead. */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController();
  const exit = once(child, 'exit', { signal: over.signal }).then(([code]) => Promise.reject(new Error(`child ended with ${code}`)));
  exit.catch(() => {});
  try {
    return (await Promise.race([once(child, 'message', { signal: over.signal }), exit]))[0] as T;
  } finally {
    over.abort();
  }
}
