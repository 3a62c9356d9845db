import { hostname } from 'node:os';
import { now, within } from '../clock.ts';
import { printable } from '../printable.ts';
import { type ConnectionConfig, cut, dial, onDead } from '../redis/connection.ts';
import type { Redis } from '../redis/ioredis.ts';
import { type NameFacts, readClientList } from './client-list.ts';

/** What the server says at one moment. */
export interface Sample {
  readonly atMs: number;
  /** Another one after a restart. */
  readonly runId: string;
  readonly version: string;
  readonly clients: number;
  /** Undefined where the server does not tell (before version 7). */
  readonly maxclients: number | undefined;
  readonly blocked: number;
  /** Since the server started: connections refused for want of room. */
  readonly rejected: number;
  /** Since the server started: connections that it let in, and rejected. Who leaks goes on when the server is full. */
  readonly received: number;
  /** Clients of the list that were not there at the sample before. Of a first sample: all. */
  readonly arrived: number;
  readonly names: readonly NameFacts[];
}

const CONNECT_MS = 5_000;
/** A server that has not answered so long is frozen, or gone without a word. */
const ANSWER_MS = 5_000;

const NO_FIGURES = 'it answers, but not with its clients and connections. See whether that is a Redis, and not a proxy';

/** Asks a server about its clients, over one connection named `sp:monitor:<host>:<pid>`, which is among them. */
export class Sampler {
  readonly #connection: Redis;
  readonly #gone = new AbortController();
  #newestId = 0;

  private constructor(connection: Redis) {
    this.#connection = connection;
    onDead(connection, (reason) => this.#gone.abort(reason));
  }

  /** @throws what the library throws, and what ioredis does, when there is no connection to be had. */
  static async open(url: string, signal: AbortSignal): Promise<Sampler> {
    const config: ConnectionConfig = {
      ...{ name: hostname(), service: 'monitor', owner: 'the monitor' },
      // A server that loads its data tells all that we ask; ioredis would wait until it has loaded them.
      ...{ url, options: { enableReadyCheck: false }, connectTimeoutMs: CONNECT_MS },
    };
    return new Sampler(await dial(config, signal));
  }

  /** Aborts, with the reason, when the connection ends. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** @throws Error when the connection ends, the server does not answer in time, or refuses. */
  async sample(): Promise<Sample> {
    const asked = this.#ask();
    const answer = await within(asked, ANSWER_MS).catch((error: unknown) => {
      // ioredis says of commands only that the connection is closed; why, the connection has said.
      throw this.gone.aborted ? this.gone.reason : error;
    });
    if (answer === 'late') throw new Error(`it has not answered for ${ANSWER_MS / 1_000} s`);
    return answer.value;
  }

  close(): void {
    cut(this.#connection);
  }

  async #ask(): Promise<Sample> {
    const { info, list } = await this.#replies();
    const { arrived, newestId, names } = readClientList(list, this.#newestId);
    // Else nothing would ever be opened there, and that be a plateau. Of the clients we are one.
    if (fieldOf(info, 'total_connections_received') === '' || names.length === 0) throw new Error(NO_FIGURES);
    this.#newestId = newestId;
    const rejected = Number(fieldOf(info, 'rejected_connections'));
    return {
      ...{ atMs: now(), arrived, names },
      runId: fieldOf(info, 'run_id'),
      version: printable(fieldOf(info, 'redis_version')),
      clients: Number(fieldOf(info, 'connected_clients')),
      maxclients: Number(fieldOf(info, 'maxclients')) || undefined,
      blocked: Number(fieldOf(info, 'blocked_clients')),
      rejected,
      received: Number(fieldOf(info, 'total_connections_received')) + rejected,
    };
  }

  /** Sent together, so that they tell of one moment. Only since version 7 does one INFO take several sections. */
  async #replies(): Promise<{ readonly info: string; readonly list: string }> {
    const sections = ['server', 'clients', 'stats'].map((section) => this.#connection.info(section));
    const [list, ...infos] = await Promise.all([this.#connection.client('LIST'), ...sections]);
    return { info: infos.join('\r\n'), list: String(list) };
  }
}

function fieldOf(info: string, field: string): string {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}
