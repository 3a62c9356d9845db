import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { Client } from 'pg';
import { findBinary, ServerProcess, type User } from './server-process.ts';

/** A Postgres server for the tests: user and database are named postgres. */
export interface DevPostgres {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Stops every process of the server where it stands, until `thaw()`. The kernel goes on accepting connections for it. */
  freeze(): Promise<void>;
  thaw(): void;
  /** Ends the server and every connection at once, as a crash does. */
  crash(): Promise<void>;
  /** Crashes what still runs and starts again, on the same port and with the same data. */
  restart(): Promise<void>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Why there is no Postgres server for the tests, or undefined when one can be started. */
export function lacksPostgres(): string | undefined {
  if (findPostgres() === undefined) return 'no postgres on the PATH or in /usr/lib/postgresql (Debian: apt-get install postgresql)';
  return isRoot() && !findUser() ? 'postgres does not run as root, and there is no user postgres or nobody' : undefined;
}

/**
 * Starts a Postgres server of our own in a temporary folder, on a free port of 127.0.0.1, with a password of its own.
 * It ends with this process, even when that is killed.
 *
 * @throws Error that says why there is none.
 */
export async function startPostgres(): Promise<DevPostgres> {
  const missing = lacksPostgres();
  const binary = findPostgres();
  if (missing !== undefined || binary === undefined) throw new Error(missing);
  const server = new OwnPostgres(binary);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function findPostgres(): string | undefined {
  const found = findBinary(['postgres'], [...(process.env.PATH ?? '').split(delimiter), ...debianFolders()]);
  // Its tools lie beside it, and not beside a link to it.
  return found && realpathSync(found);
}

/** Where Debian keeps the binaries, off the PATH; the newest version first. */
function debianFolders(): readonly string[] {
  const root = '/usr/lib/postgresql';
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(root, version, 'bin'));
  } catch {
    return [];
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function findUser(): User | undefined {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = ['postgres', 'nobody'].map((name) => users.find(([first]) => first === name)).find((line) => line !== undefined);
  return user && { uid: Number(user[2]), gid: Number(user[3]) };
}

class OwnPostgres implements DevPostgres {
  readonly #binary: string;
  readonly #user = isRoot() ? findUser() : undefined;
  readonly #process = new ServerProcess('postgres', this.#user);
  // Nobody else's server on the port would let us in.
  readonly #password = randomUUID();
  /** Its backends are no children of ours, and a frozen one outlives its server. */
  #frozen: number[] = [];

  constructor(binary: string) {
    this.#binary = binary;
  }

  get host(): string {
    return this.#process.host;
  }

  get port(): number {
    return this.#process.port;
  }

  get url(): string {
    return `postgres://postgres:${this.#password}@${this.host}:${this.port}/postgres`;
  }

  async start(): Promise<void> {
    const passwordFile = join(this.#process.folder, 'password');
    writeFileSync(passwordFile, this.#password);
    const args = ['-D', this.#data, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8'];
    execFileSync(join(dirname(this.#binary), 'initdb'), [...args, '--no-locale', '--no-sync'], { ...this.#user, stdio: 'pipe' });
    await this.#process.onFreePort(() => this.#launch());
  }

  async freeze(): Promise<void> {
    const client = new Client(this.url);
    await client.connect();
    // Its first process makes the others: from here on there is none that is not in the list.
    await this.#process.kill('SIGSTOP');
    const { rows } = await client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity');
    client.on('error', () => {});
    this.#frozen = rows.map(({ pid }) => pid);
    this.#process.tellGuard(this.#process.pid, ...this.#frozen);
    for (const pid of this.#frozen) process.kill(pid, 'SIGSTOP');
    client.connection.stream.destroy();
  }

  thaw(): void {
    if (this.#frozen.length === 0) return;
    for (const pid of this.#frozen.splice(0)) process.kill(pid, 'SIGCONT');
    this.#process.kill('SIGCONT');
    this.#process.tellGuard(this.#process.pid);
  }

  async crash(): Promise<void> {
    this.thaw();
    // SIGKILL would leave its processes alive for a moment, and they keep another server from starting.
    await this.#process.kill('SIGQUIT');
  }

  async restart(): Promise<void> {
    await this.crash();
    await this.#launch();
  }

  async stop(): Promise<void> {
    await this.crash();
    await this.#process.stop();
  }

  get #data(): string {
    return join(this.#process.folder, 'data');
  }

  async #launch(): Promise<void> {
    const settings = { port: this.port, listen_addresses: this.host, unix_socket_directories: '', fsync: 'off', max_connections: 30 };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    await this.#process.launch(this.#binary, ['-D', this.#data, ...args], () => answers(this.url));
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new Client(url);
  try {
    await client.connect();
    return true;
  } catch {
    // It does not listen yet, or still starts up.
    return false;
  } finally {
    await client.end();
  }
}
