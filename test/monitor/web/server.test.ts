import { once } from 'node:events';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PageServer, USUAL_PORT } from '../../../src/monitor/web/server.ts';
import { until } from '../../support/until.ts';

const FILES = new Map([
  ['/', { type: 'text/html; charset=utf-8', content: Buffer.from('<!doctype html>') }],
  ['/main.js', { type: 'text/javascript; charset=utf-8', content: Buffer.from('') }],
]);

async function serve(port: number | undefined = 0, begin: () => unknown = () => ({ first: true })): Promise<PageServer> {
  const server = await PageServer.listen(port, { files: FILES, begin });
  onTestFinished(() => server.close());
  return server;
}

interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
}

/** Without what `fetch` would put right: paths and headers as they are. */
async function ask(server: PageServer, { path = '/', method = 'GET', headers = {} }: Asked = {}): Promise<IncomingMessage> {
  const { hostname, port } = new URL(server.url);
  const asked = request({ hostname, port, path, method, headers: { connection: 'close', ...headers } }).end();
  onTestFinished(() => void asked.destroy());
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response.on('error', () => {});
}

async function read(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

/** Whoever reads events, and what it has got. */
async function listen(server: PageServer): Promise<{ readonly got: () => string; readonly response: IncomingMessage }> {
  const response = await ask(server, { path: '/events' });
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return { got: () => text, response };
}

describe('the server of the page', () => {
  it('serves files, with headers that let nothing in but them', async () => {
    const server = await serve();
    const response = await ask(server);
    expect([response.statusCode, await read(response)]).toEqual([200, '<!doctype html>']);
    expect(response.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    const policy = `${response.headers['content-security-policy']}`.split('; ');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]),
    );
    expect(policy.join()).not.toMatch(/unsafe|\*|http/);
    expect((await ask(server, { path: '/main.js' })).headers['content-type']).toMatch(/^text\/javascript/);
  });

  it.each([
    '/../server.js',
    '/..%2fserver.js',
    '/%2e%2e/server.js',
    '//etc/passwd',
    '/index.html',
    '/?a',
    '/page/main.js',
    '/constructor',
    '*',
  ])('has no %s', async (path) => {
    const response = await ask(await serve(), { path });
    expect([response.statusCode, response.headers['x-content-type-options']]).toEqual([404, 'nosniff']);
  });

  it.each(['/', '/main.js', '/events', '/nowhere'])('answers nobody from elsewhere: %s', async (path) => {
    const server = await serve();
    const own = new URL(server.url).host;
    const foreign: readonly OutgoingHttpHeaders[] = [
      { host: 'evil.example' },
      { host: `evil.example:${new URL(server.url).port}` },
      { host: '127.0.0.1.evil.example' },
      { host: own, origin: 'http://evil.example' },
      { host: own, origin: 'null' },
      { host: own, origin: `https://${own}` },
      { host: own, origin: 'http://127.0.0.1:1' },
      { host: own, 'sec-fetch-site': 'cross-site' },
      { host: own, 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of foreign) {
      const response = await ask(server, { path, headers });
      expect([response.statusCode, response.headers['access-control-allow-origin'], headers]).toEqual([403, undefined, headers]);
      expect(await read(response)).toContain(server.url);
    }
    expect(server.isRead).toBe(false);
    const response = await ask(server, { headers: { host: own, origin: `http://${own}`, 'sec-fetch-site': 'same-origin' } });
    expect(response.statusCode).toBe(200);
  });

  it.each(['POST', 'HEAD', 'OPTIONS', 'DELETE'])('answers no %s', async (method) => {
    const response = await ask(await serve(), { method });
    expect([response.statusCode, response.headers.allow]).toEqual([405, 'GET']);
  });

  it('listens for this machine alone', async () => {
    const server = await serve();
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const other = connect({ host: '127.0.0.2', port: Number(new URL(server.url).port) });
    const [error] = await once(other, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('takes another port where the usual one is taken, but not where one was asked for', async () => {
    const first = await serve(undefined);
    const second = await serve(undefined);
    expect(new URL(second.url).port).not.toBe(`${USUAL_PORT}`);
    expect(second.url).not.toBe(first.url);
    await expect(serve(Number(new URL(second.url).port))).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('its events', () => {
  it('begin with all there is, and go on with what is new, a beat at the least', async () => {
    const server = await serve();
    const { got, response } = await listen(server);
    expect(response.headers['content-type']).toBe('text/event-stream');
    await until(() => server.isRead);
    server.send('news', { text: 'a\n\nevent: b' });
    await until(() => got().includes('event: beat\ndata: ""\n\n'), { timeoutMs: 20_000 });
    expect(got()).toMatch(
      /^retry: 1000\nevent: all\ndata: \{"first":true\}\n\nevent: news\ndata: \{"text":"a\\n\\nevent: b"\}\n\nevent: beat\n/,
    );
  });

  it('forget who has gone', async () => {
    const server = await serve();
    const { response } = await listen(server);
    await until(() => server.isRead);
    response.destroy();
    await until(() => !server.isRead);
  });

  it('are for nobody who asks twice at once, of whom it could not be told when the second reader has gone', async () => {
    const server = await serve();
    const { hostname, port, host } = new URL(server.url);
    const greedy = connect({ host: hostname, port: Number(port) }).resume();
    onTestFinished(() => void greedy.destroy());
    greedy.on('error', () => {}).write(`GET /events HTTP/1.1\r\nhost: ${host}\r\n\r\n`.repeat(2));
    await until(() => greedy.destroyed);
    await until(() => !server.isRead);
  });

  it('drop who does not read, and go on for who does', async () => {
    const server = await serve();
    const { got } = await listen(server);
    const { hostname, port, host } = new URL(server.url);
    const idle = connect({ host: hostname, port: Number(port) });
    onTestFinished(() => void idle.destroy());
    let isDropped = false;
    idle.on('close', () => {
      isDropped = true;
    });
    idle.on('error', () => {});
    idle.write(`GET /events HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    // Nothing is read before resume().
    idle.pause();
    const piece = 'x'.repeat(256 * 1024);
    let sent = 0;
    for (; sent < 100; sent++) {
      const length = got().length;
      server.send('news', `${sent}${piece}`);
      await until(() => got().length > length + piece.length);
    }
    // It gets what was on its way, and then the end.
    idle.resume();
    await until(() => isDropped);
    expect([server.isRead, got().includes(`data: "${sent - 1}x`)]).toEqual([true, true]);
  }, 60_000);

  it('end when the server closes', async () => {
    const server = await serve();
    const { response } = await listen(server);
    let hasEnded = false;
    response.on('close', () => {
      hasEnded = true;
    });
    server.close();
    server.close();
    await until(() => hasEnded);
    await expect(ask(server)).rejects.toThrow();
  });
});
