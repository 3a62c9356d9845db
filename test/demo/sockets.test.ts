import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Sockets } from '../../demo/sockets.ts';

let server: Server;
let port: number;
let counted: Sockets;

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as { port: number }).port;
  counted = new Sockets();
});
afterEach(async () => {
  counted.stop();
  server.close();
  await once(server, 'close');
});

async function open(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

async function close(socket: Socket): Promise<void> {
  socket.end().resume();
  await once(socket, 'close');
}

describe('Sockets', () => {
  it('counts each that was opened, those that are open, and the most at one time', async () => {
    const first = await open();
    const second = await open();
    await close(first);
    await close(await open());
    expect([counted.opened, counted.open, counted.peak]).toEqual([3, 1, 2]);
    counted.forgetPeak();
    expect(counted.peak).toBe(1);
    await close(second);
    expect([counted.opened, counted.open, counted.peak]).toEqual([3, 0, 1]);
  });

  it('does not count one that nobody accepted', async () => {
    const refused = connect(1, '127.0.0.1');
    await once(refused, 'error');
    expect([counted.opened, counted.open]).toEqual([0, 0]);
  });

  it('counts nothing after it was stopped', async () => {
    counted.stop();
    await close(await open());
    expect(counted.opened).toBe(0);
  });
});
