import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterIdly, cancel, type Timer } from '../../clock.ts';
import { isForeign } from '../../inspect/foreign.ts';
import type { PageFile } from './files.ts';
import { BEAT_MS } from './page/messages.ts';

const HOST = '127.0.0.1';
/** Fixed, so that a page that stays open finds the next monitor. */
export const USUAL_PORT = 8_379;
/** A page that has left so much unread has stopped reading: 4 MiB. */
const MOST_UNREAD = 4 * 1024 * 1024;
const MOST_SOCKETS = 100;

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** What is served. */
export interface Served {
  /** By path. */
  readonly files: ReadonlyMap<string, PageFile>;
  /** What a page gets that begins to read. */
  begin(): unknown;
}

/** Serves a page, and what it is to know, to browsers of this machine. */
export class PageServer {
  readonly #served: Served;
  readonly #server: Server;
  readonly #readers = new Set<ServerResponse>();
  #beat: Timer | undefined;

  private constructor(served: Served) {
    this.#served = served;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.maxConnections = MOST_SOCKETS;
  }

  /**
   * @param port 0 for any that is free; undefined for the usual one, or any where that is taken.
   * @throws what Node throws when it cannot listen there.
   */
  static async listen(port: number | undefined, served: Served): Promise<PageServer> {
    const server = new PageServer(served);
    try {
      await server.#listen(port ?? USUAL_PORT);
    } catch (error) {
      if (port !== undefined) throw error;
      await server.#listen(0);
    }
    // One that cannot be accepted, for want of file descriptors, comes again.
    server.#server.on('error', () => {});
    server.#keepBeating();
    return server;
  }

  get url(): string {
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}/`;
  }

  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  /** To all that read. */
  send(event: 'news' | 'beat', data: unknown = ''): void {
    const text = eventText(event, data);
    for (const reader of this.#readers) {
      // What is not read is kept here, and would be more with each event. The page asks again when it comes to itself.
      if (reader.writableLength > MOST_UNREAD) reader.destroy();
      else reader.write(text);
    }
  }

  /** May be repeated. */
  close(): void {
    cancel(this.#beat);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #listen(port: number): Promise<void> {
    // It rejects with what 'error' tells.
    const listening = once(this.#server, 'listening');
    this.#server.listen({ port, host: HOST, exclusive: true });
    await listening;
  }

  #keepBeating(): void {
    this.#beat = afterIdly(BEAT_MS, () => {
      this.send('beat');
      this.#keepBeating();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // Asked for before the answer to the last request has ended, which no browser does: nobody would tell when this one's reader goes.
    if (response.socket === null) return void request.socket.destroy();
    const refuse = (status: number, text: string, more: object = {}) => {
      response
        .writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8', connection: 'close', ...more })
        .end(`${text}\n`);
    };
    if (isForeign(request)) return refuse(403, `Only this machine may look, by its own name, and no page of another site: ${this.url}`);
    if (request.method !== 'GET') return refuse(405, 'Only GET is answered.', { allow: 'GET' });
    if (request.url === '/events') return this.#begin(response);
    const file = this.#served.files.get(request.url ?? '');
    if (!file) return refuse(404, 'There is only the page: /');
    response.writeHead(200, { ...HEADERS, 'content-type': file.type }).end(file.content);
  }

  #begin(response: ServerResponse): void {
    response.on('close', () => this.#readers.delete(response));
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' });
    response.write(`retry: 1000\n${eventText('all', this.#served.begin())}`);
    this.#readers.add(response);
  }
}

/** JSON has no line breaks, which would end the event. */
function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
