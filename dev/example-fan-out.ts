// `npm run example:fan-out`: examples/fan-out, each part in a process of its own, on the Redis server of REDIS_URL, else on one of
// our own: a ticker, and three web servers at free ports of this machine.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startRedis, withoutCredentials } from './redis-server.ts';

const SERVERS = 3;
/** Ends a process whose parent has gone, however that ended. */
const WITH_PARENT = `data:text/javascript,process.once('disconnect',()=>process.exit(1));process.channel.unref()`;

const running = new Set<ChildProcess>();
let isEnding = false;

/** Starts a part. @returns its process, and what it says first. */
async function start(part: string) {
  const file = fileURLToPath(new URL(`../examples/fan-out/${part}${extname(import.meta.filename)}`, import.meta.url));
  const env = { ...process.env, REDIS_URL: redis.url, PORT: '' };
  // Detached, so that Ctrl-C reaches only us, and each is ended in its turn.
  const child = spawn(process.execPath, ['--import', WITH_PARENT, file], {
    env,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    detached: true,
  });
  running.add(child);
  child.once('exit', () => {
    running.delete(child);
    if (!isEnding) void end(1);
  });
  const [said] = child.stdout ? await once(createInterface(child.stdout), 'line') : [];
  return { child, said: String(said).replace(/;.*/, '') };
}

async function stop(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** The ticker first, so that its last tick comes to all; the servers; Redis last. */
async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  const [first, ...others] = running;
  if (first) await stop(first);
  await Promise.all(others.map(stop));
  await redis.stop();
  process.exit(code);
}

const redis = await startRedis();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(0));
await start('ticker');
const servers = await Promise.all(Array.from({ length: SERVERS }, () => start('server')));
console.log(`${servers.map(({ said }) => said).join('\n')}\nover ${withoutCredentials(redis.url)}; Ctrl-C ends them`);
