// A process of its own: it kills also while the event loop of the bench stands still.
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kill } from './hand-outs.ts';

const [port = 0, everyMs = 0] = process.argv.slice(2).map(Number);
const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay();
const kills: Kill[] = [];
let isOver = false;

/** Kills one connection after the other, whichever chance names, and notes when the server has confirmed it. */
async function main(): Promise<void> {
  process.once('message', () => {
    isOver = true;
  });
  await ask(`CLIENT SETNAME observer`);
  process.send?.('ready');
  while (!isOver) {
    await sleep(everyMs);
    const clients = [...(await ask('CLIENT LIST')).matchAll(/^id=(\d+) addr=[^ ]*:(\d+) (?!.* name=observer )/gm)];
    const [, id, clientPort] = clients[Math.floor(Math.random() * clients.length)] ?? [];
    if (id === undefined) continue;
    const reply = await ask(`CLIENT KILL ID ${id}`);
    const at = Number(process.hrtime.bigint());
    if (reply === ':1\r\n') kills.push({ port: Number(clientPort), at });
  }
  process.send?.(kills);
  process.disconnect();
  socket.destroy();
}

async function ask(command: string): Promise<string> {
  socket.write(`${command}\r\n`);
  let reply = '';
  // A list ends with an empty line, all else with its first.
  while (!(reply.startsWith('$') ? reply.endsWith('\n\r\n') : reply.endsWith('\r\n'))) reply += (await once(socket, 'data'))[0];
  return reply;
}

await main();
