import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';

/** The monitor in a process of its own, and what it has said so far. */
export interface Child {
  readonly process: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The objects of `--json`. */
  readonly samples: () => readonly Readonly<Record<string, unknown>>[];
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Where the processes of one test file find each other, and no others of this machine. */
export const SOCKETS = mkdtempSync(join(tmpdir(), 'scoped-pool-sockets-'));
afterAll(() => rmSync(SOCKETS, { recursive: true, force: true }));

/** Runs a program and hears what it says. It is killed after the test at the latest. */
export function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Child {
  const child = spawn(file, args, {
    env: { ...process.env, REDIS_URL: undefined, TMPDIR: SOCKETS, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  }
  const samples = () =>
    said.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const ended = once(child, 'close').then(([code, signal]: (number | NodeJS.Signals)[]) => code ?? signal ?? -1);
  return { process: child, stdout: () => said.stdout, stderr: () => said.stderr, samples, ended };
}

/** @param folder Of `useCompiled`. */
export function startMonitor(folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Child {
  return start(process.execPath, [join(folder, 'monitor/cli.js'), 'monitor', ...args], env);
}
