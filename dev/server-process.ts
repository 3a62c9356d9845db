import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, closeSync, constants, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** Whom a server runs as, where it refuses to run as root. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

const START_TIMEOUT_MS = 30_000;
const PORT_TRIES = 3;

// Reads what is to be killed: the pid of each server, others that hang on it, and an empty line for each server that
// ended. When we die, however, the pipe closes.
const GUARD = `
while read -r pids; do server=$pids; done
[ -z "$server" ] || kill -KILL $server
rm -rf "$1"
`;

/** A server in a temporary folder, on a free port of 127.0.0.1. Both end with this process, even when that is killed. */
export class ServerProcess {
  readonly host = '127.0.0.1';
  readonly folder: string;
  readonly #user: User | undefined;
  // Both processes are detached, so that Ctrl-C reaches only us and we can close our connections in order.
  readonly #guard;
  #server: ChildProcess | undefined;
  #port = 0;

  constructor(name: string, user?: User) {
    this.folder = mkdtempSync(join(tmpdir(), `scoped-pool-${name}-`));
    this.#user = user;
    if (user) chownSync(this.folder, user.uid, user.gid);
    this.#guard = spawn('sh', ['-c', GUARD, 'sh', this.folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#guard.stdin.on('error', () => {});
    release(this.#guard);
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Tries `launch` on free ports, until it is one that nobody took meanwhile. */
  async onFreePort(launch: () => Promise<void>): Promise<void> {
    for (let left = PORT_TRIES; ; left--) {
      this.#port = await freePort();
      try {
        return await launch();
      } catch (error) {
        if (left === 1 || !String(error).includes('Address already in use')) throw error;
      }
    }
  }

  /** Starts the binary, and resolves when `isReady` of its pid. */
  async launch(binary: string, args: readonly string[], isReady: (pid: number) => Promise<boolean>): Promise<void> {
    const log = openSync(join(this.folder, 'log'), 'a');
    const server = spawn(binary, args, { ...this.#user, stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#server = server;
    this.tellGuard(server.pid);
    server.on('error', () => {});
    server.once('exit', () => this.tellGuard());
    server.unref();
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (server.pid === undefined || !(await isReady(server.pid))) {
      if (hasEnded(server) || Date.now() > deadline) throw new Error(`${binary} does not start:\n${this.#lastWords()}`);
      await sleep(5);
    }
  }

  /** Signals the server. Resolves when it has ended if the signal ends it, else at once. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGQUIT' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const server = this.#server;
    if (!server || hasEnded(server)) return;
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return void server.kill(signal);
    const ended = once(server, 'exit');
    server.kill(signal);
    server.ref();
    await ended;
  }

  /** Kills the server and removes its folder. */
  async stop(): Promise<void> {
    await this.kill('SIGKILL');
    if (hasEnded(this.#guard)) return;
    this.#guard.ref();
    this.#guard.stdin.end();
    await once(this.#guard, 'exit');
  }

  /** What is killed if we die now. */
  tellGuard(...pids: readonly (number | undefined)[]): void {
    if (this.#guard.stdin.writable) this.#guard.stdin.write(`${pids.join(' ')}\n`);
  }

  #lastWords(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8').trimEnd().split('\n').slice(-5).join('\n');
  }
}

/** The first of these programs that is in one of the folders, those of the PATH by default. */
export function findBinary(names: readonly string[], folders = (process.env.PATH ?? '').split(delimiter)): string | undefined {
  const there = folders.filter((folder) => folder !== '');
  return names.flatMap((name) => there.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Lets this process end while the other one runs. */
function release(child: ChildProcess & { readonly stdin: Writable }): void {
  child.unref();
  (child.stdin as Socket).unref();
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

/** A port of 127.0.0.1 on which nobody listens just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}
