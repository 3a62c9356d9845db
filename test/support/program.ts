import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A program that runs in a process of its own, and answers lines with lines of JSON. */
export interface Program {
  readonly child: ChildProcess;
  ask(): Promise<Record<string, unknown>>;
  /** Ends it, whatever it does. */
  kill(): void;
}

/** @param args Of Node: `[file]`, or `['--input-type=module', '-e', source]`. */
export function startProgram(args: readonly string[]): Program {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const ask = async () => {
    const answer = once(lines, 'line');
    child.stdin.write('\n');
    return JSON.parse((await answer)[0] as string) as Record<string, unknown>;
  };
  const kill = () => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
  };
  return { child, ask, kill };
}
