import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { findBinary, ServerProcess } from './server-process.ts';

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

/**
 * Finds a Redis server: the one that REDIS_URL names, else one of our own from `redis-server` or `valkey-server` on the
 * PATH, on a free port of 127.0.0.1, in a temporary folder. Ours ends with this process, even when that is killed.
 *
 * @throws Error that lists the ways to get one, when there is none.
 */
export async function startRedis(options: StartOptions = {}): Promise<DevRedis> {
  const given = process.env.REDIS_URL;
  if (given && !options.fresh) return givenRedis(given);
  const binary = findBinary(BINARIES);
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

class OwnRedis implements DevRedis {
  readonly #binary: string;
  readonly #options: StartOptions;
  readonly #process = new ServerProcess('redis');

  constructor(binary: string, options: StartOptions) {
    this.#binary = binary;
    this.#options = options;
    if (options.sentinel !== undefined) writeFileSync(this.#config, options.sentinel);
  }

  get host(): string {
    return this.#process.host;
  }

  get port(): number {
    return this.#process.port;
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get #config(): string {
    return join(this.#process.folder, 'sentinel.conf');
  }

  async start(): Promise<void> {
    await this.#process.onFreePort(() => this.#launch());
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await this.#process.kill(signal);
  }

  async restart(): Promise<void> {
    await this.kill('SIGKILL');
    await this.#launch();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async #launch(): Promise<void> {
    await this.#process.launch(this.#binary, this.#arguments(), (pid) => isReady(pid, this.port));
  }

  #arguments(): readonly string[] {
    const { appendOnly, args = [], sentinel } = this.#options;
    const own = {
      ...{ port: this.port, bind: this.host, dir: this.#process.folder },
      ...{ save: '', appendonly: appendOnly ? 'yes' : 'no', daemonize: 'no' },
    };
    const pairs = Object.entries(own).flatMap(([name, value]) => [`--${name}`, String(value)]);
    return sentinel === undefined ? [...pairs, ...args] : [this.#config, '--sentinel', ...pairs, ...args];
  }
}

/** Whether this very process answers on the port, and not somebody who was there before it. */
async function isReady(pid: number, port: number): Promise<boolean> {
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
