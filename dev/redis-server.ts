import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** A Redis server for the demo, the tests and the benches. */
export interface DevRedis {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Another one after each restart; undefined for a server that REDIS_URL named, which is not ours to signal. */
  readonly pid: number | undefined;
  /** Signals the server. Resolves when it has ended if the signal ends it, else at once. */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Kills what still runs and starts again, on the same port and in the same folder. */
  restart(): Promise<void>;
  /** Ends the server and removes its folder. Leaves a server that REDIS_URL named alone. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Starts a server of our own though REDIS_URL is set: for whoever kills, freezes or restarts it. Default false. */
  readonly fresh?: boolean;
  /** Keeps the data over a restart. Default false: nothing is written to disk. */
  readonly appendOnly?: boolean;
  /** Further arguments of redis-server: `['--maxclients', '20']`. */
  readonly args?: readonly string[];
  /** Makes it a sentinel, which begins with these lines of configuration and writes them on. */
  readonly sentinel?: string;
}

const BINARIES = ['redis-server', 'valkey-server'];
const START_TIMEOUT_MS = 10_000;
const PORT_TRIES = 3;

/**
 * Finds a Redis server: the one that REDIS_URL names, else one of our own from `redis-server` or `valkey-server` on the
 * PATH, on a free port of 127.0.0.1, in a temporary folder. Ours ends with this process, even when that is killed.
 *
 * @throws Error that lists the ways to get one, when there is none.
 */
export async function startRedis(options: StartOptions = {}): Promise<DevRedis> {
  const given = process.env.REDIS_URL;
  if (given && !options.fresh) return givenRedis(given);
  const binary = findBinary();
  if (binary === undefined) throw new Error(howToGetOne(options));
  const server = new OwnRedis(binary, options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function findBinary(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return BINARIES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function howToGetOne({ fresh }: StartOptions): string {
  const fixes = [
    'Debian, Ubuntu   sudo apt-get install redis-server',
    'macOS            brew install redis',
    'Docker           docker run --rm -p 6379:6379 redis, and REDIS_URL=redis://127.0.0.1:6379',
    'elsewhere        REDIS_URL=redis://host:port, a server whose data may be overwritten',
  ];
  const needed = fresh ? `${BINARIES[0]} on the PATH is needed, because it is killed and restarted here` : 'one of these is enough';
  return `no Redis server found: neither REDIS_URL nor ${BINARIES.join(' or ')} on the PATH; ${needed}:\n  ${fixes.join('\n  ')}`;
}

const FORMAT = 'redis://host:port, redis://user:password@host:port/db or rediss://…';

async function givenRedis(url: string): Promise<DevRedis> {
  const { hostname: host, port: digits, protocol } = URL.canParse(url) ? new URL(url) : { hostname: '', port: '', protocol: '' };
  const shown = withoutCredentials(url);
  if (host === '' || !/^rediss?:$/.test(protocol)) throw new Error(`REDIS_URL must look like ${FORMAT}; got "${shown}"`);
  const port = Number(digits || 6379);
  const socket = connect(port, host);
  await once(socket, 'connect').catch((cause: unknown) => {
    throw new Error(`nothing answers at REDIS_URL=${shown}; start that server, or unset REDIS_URL`, { cause });
  });
  socket.destroy();
  const refuse = async () => {
    throw new Error(`the server at REDIS_URL=${shown} was not started here and is not touched; ask for one with { fresh: true }`);
  };
  return { url, host, port, pid: undefined, kill: refuse, restart: refuse, stop: async () => {} };
}

/** A URL as it may be shown: without user, password and query, which may hold a password, too. */
export function withoutCredentials(url: string): string {
  return url.replace(/\?.*$/, '').replace(/^(\w+:\/\/)?.*@/, '$1***@');
}

// Reads the pid of each server and an empty line for each that ended. When we die, however, the pipe closes.
const GUARD = `
while read -r pid; do server=$pid; done
[ -z "$server" ] || kill -KILL "$server"
rm -rf "$1"
`;

class OwnRedis implements DevRedis {
  readonly host = '127.0.0.1';
  readonly #binary: string;
  readonly #options: StartOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'scoped-pool-redis-'));
  // Both processes are detached, so that Ctrl-C reaches only us and we can close our connections in order.
  readonly #guard = spawn('sh', ['-c', GUARD, 'sh', this.#folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  #server: ChildProcess | undefined;
  #port = 0;

  constructor(binary: string, options: StartOptions) {
    this.#binary = binary;
    this.#options = options;
    if (options.sentinel !== undefined) writeFileSync(this.#config, options.sentinel);
    this.#guard.stdin.on('error', () => {});
    release(this.#guard);
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `redis://${this.host}:${this.#port}`;
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  get #config(): string {
    return join(this.#folder, 'sentinel.conf');
  }

  async start(): Promise<void> {
    for (let left = PORT_TRIES; ; left--) {
      this.#port = await freePort();
      try {
        return await this.#launch();
      } catch (error) {
        if (left === 1 || !String(error).includes('Address already in use')) throw error;
      }
    }
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const server = this.#server;
    if (!server || hasEnded(server)) return;
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return void server.kill(signal);
    const ended = once(server, 'exit');
    server.kill(signal);
    server.ref();
    await ended;
  }

  async restart(): Promise<void> {
    await this.kill('SIGKILL');
    await this.#launch();
  }

  async stop(): Promise<void> {
    await this.kill('SIGKILL');
    if (hasEnded(this.#guard)) return;
    this.#guard.ref();
    this.#guard.stdin.end();
    await once(this.#guard, 'exit');
  }

  async #launch(): Promise<void> {
    const log = openSync(join(this.#folder, 'log'), 'a');
    const server = spawn(this.#binary, this.#arguments(), { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#server = server;
    this.#tellGuard(server.pid);
    server.on('error', () => {});
    server.once('exit', () => this.#tellGuard(undefined));
    server.unref();
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await isReady(server, this.#port))) {
      if (hasEnded(server) || Date.now() > deadline) throw new Error(`${this.#binary} does not start:\n${this.#lastWords()}`);
      await sleep(5);
    }
  }

  #arguments(): readonly string[] {
    const { appendOnly, args = [], sentinel } = this.#options;
    const own = { port: this.#port, bind: this.host, dir: this.#folder, save: '', appendonly: appendOnly ? 'yes' : 'no', daemonize: 'no' };
    const pairs = Object.entries(own).flatMap(([name, value]) => [`--${name}`, String(value)]);
    return sentinel === undefined ? [...pairs, ...args] : [this.#config, '--sentinel', ...pairs, ...args];
  }

  #tellGuard(pid: number | undefined): void {
    if (this.#guard.stdin.writable) this.#guard.stdin.write(`${pid ?? ''}\n`);
  }

  #lastWords(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8').trimEnd().split('\n').slice(-5).join('\n');
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

/** Whether this very process answers on the port, and not somebody who was there before it. */
async function isReady({ pid }: ChildProcess, port: number): Promise<boolean> {
  const text = await ask(port, 'INFO server\r\nPING\r\n', LAST_REPLY);
  return text.startsWith('-NOAUTH') || (text.includes(`process_id:${pid}\r\n`) && text.endsWith('+PONG\r\n'));
}

// While it still loads its data a server answers INFO, but no PING.
const LAST_REPLY = /(?:\+PONG|-LOADING.*|-NOAUTH.*)\r\n$/;

/** What a server of this machine answers to commands written as one would type them, up to `end`; whatever it has said when it hangs up. */
export async function ask(port: number, commands: string, end: RegExp): Promise<string> {
  const socket = connect(port, '127.0.0.1')
    .setEncoding('utf8')
    .setTimeout(1_000, () => socket.destroy());
  let text = '';
  try {
    socket.write(commands);
    for await (const part of socket) {
      text += part;
      if (end.test(text)) break;
    }
  } catch {
    // Refused: it does not listen yet.
  }
  socket.destroy();
  return text;
}
