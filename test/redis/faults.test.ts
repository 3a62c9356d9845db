import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { withRoot } from 'scoped-pool';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../dev/fault-proxy.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { errorOf, poolOn } from './support.ts';

// Own servers: they are frozen, killed and restarted here.
const redis = useRedis({ fresh: true });

const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);
beforeEach(() => {
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
});
afterEach(() => {
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('commandTimeoutMs', () => {
  beforeEach(async () => void (await redis().observer.flushall()));
  afterEach(() => redis().server.kill('SIGCONT'));

  it('ends what a frozen server does not answer, destroys the connection, and the next command works', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { commandTimeoutMs: 100, retry: { maxAttempts: 1 } });
      await pool.ping();
      await redis().server.kill('SIGSTOP');
      const [first, second] = await Promise.all([errorOf(() => pool.get('a')), errorOf(() => pool.incr('b'))]);
      expect(first).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT', message: expect.stringMatching(/no reply to GET within \d+ ms/) });
      expect(second).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT', message: expect.stringMatching(/no reply to INCR \(behind GET\)/) });
      await until(() => pool.stats().open === 0);
      await redis().server.kill('SIGCONT');
      expect(await pool.ping()).toBe('PONG');
      expect(pool.stats()).toMatchObject({ created: 2, closedBy: { dead: 1 } });
    });
  });

  it('lets reads be sent again over another connection, and writes not', async () => {
    const proxy = await FaultProxy.start(redis().server);
    await redis().observer.set('a', 1);
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, commandTimeoutMs: 100 });
      await pool.ping();
      proxy.blackHole();
      const [read, write] = await Promise.all([pool.get('a'), errorOf(() => pool.incr('a'))]);
      expect(read).toBe('1');
      expect(write).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT', outcome: 'unknown' });
      expect(pool.stats().created).toBe(2);
    });
    await proxy.stop();
  });

  it('replaces a connection that does not answer what should make it as it was', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use(async (connection) => {
        await connection.watch('a');
        await redis().server.kill('SIGSTOP');
      });
      await until(() => pool.stats().closedBy.destroyed === 1);
      await redis().server.kill('SIGCONT');
      expect(await pool.use((connection) => connection.ping())).toBe('PONG');
    });
  });

  it('leaves the place of a connection that owes replies at once, though its other end does not hear of it', async () => {
    const proxy = await FaultProxy.start(redis().server);
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, max: 1 });
      await pool.use((connection, lease) => {
        proxy.blackHole();
        connection.get('a').catch(() => {});
        lease.destroy();
      });
      const closed = until(() => pool.stats().open === 0).then(() => 'closed');
      // Half of what a connection in good order may take.
      expect(await Promise.race([closed, sleep(250, 'still open')])).toBe('closed');
    });
    await proxy.stop();
  });

  it('ends what is sent on an exclusive lease', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { commandTimeoutMs: 100 });
      const error = await pool.use(async (connection) => {
        await connection.ping();
        await redis().server.kill('SIGSTOP');
        return errorOf(() => connection.get('a'));
      });
      expect(error.code).toBe('ERR_COMMAND_TIMEOUT');
    });
  });

  it('comes on top of the timeout of a blocking command', async () => {
    await withRoot(async () => {
      // The server looks at its timeouts ten times a second.
      const pool = poolOn(redis(), { commandTimeoutMs: 200 });
      const popped = pool.blpop('list', 0);
      expect(
        await Promise.all([
          pool.blpop('other', 0.6),
          pool.xread('BLOCK', 600, 'STREAMS', 's', '$'),
          pool.use((connection) => connection.wait(1, 600)),
          pool.pipeline().blpop('other', 0.6).exec(),
        ]),
      ).toEqual([null, null, 0, [[null, null]]]);
      await pool.rpush('list', 'x');
      expect(await popped).toEqual(['list', 'x']);
      expect(pool.stats().closedBy.dead).toBe(0);
    });
  });

  it('ends a blocking command that is not answered when its own timeout is over', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { commandTimeoutMs: 100 });
      await pool.ping();
      const popped = errorOf(() => pool.blpop('list', 0.05));
      await until(() => pool.stats().exclusive === 1);
      await redis().server.kill('SIGSTOP');
      expect(await popped).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT', message: expect.stringContaining('BLPOP') });
    });
  });

  it('is not for the time in which our own event loop stood still', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { commandTimeoutMs: 60 });
      await pool.ping();
      for (let n = 0; n < 5; n++) {
        const replies = Promise.all([pool.incr('n'), pool.get('n')]);
        // One turn, so that they are sent; then nothing is read for longer than the timeout.
        await new Promise((resolve) => setImmediate(resolve));
        const end = performance.now() + 130;
        while (performance.now() < end);
        expect(await replies).toEqual([n + 1, String(n + 1)]);
      }
      expect(pool.stats()).toMatchObject({ created: 1, closed: 0 });
    });
  });

  it('bounds how long the end of a scope waits for what was not awaited', async () => {
    const pool = poolOn(redis(), { commandTimeoutMs: 100 });
    let reply: Promise<unknown> | undefined;
    await withRoot(async () => {
      await pool.ping();
      await redis().server.kill('SIGSTOP');
      reply = errorOf(() => pool.incr('n'));
    });
    expect(await reply).toMatchObject({ code: 'ERR_COMMAND_TIMEOUT' });
  });
});

describe('connectTimeoutMs', () => {
  it('says that a server let us in and did not greet', async () => {
    const proxy = await FaultProxy.start({ host: redis().server.host, port: redis().server.port });
    proxy.admit = 'silent';
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: proxy.url, connectTimeoutMs: 50, acquireTimeoutMs: 250 });
      const error = await errorOf(() => pool.get('a'));
      expect(error.code).toBe('ERR_POOL_ACQUIRE_TIMEOUT');
      expect(error.cause).toMatchObject({ code: 'ERR_CONNECT_TIMEOUT', message: expect.stringContaining('let us in and did not greet') });
      expect((error.cause as Error).message).toMatch(/within 50 ms.*connectTimeoutMs/);
      proxy.admit = 'pass';
      expect(await pool.ping()).toBe('PONG');
    });
    await proxy.stop();
  });

  it('leaves no socket to a silent server behind', async () => {
    const silent = await silentServer();
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: silent.url, connectTimeoutMs: 30, acquireTimeoutMs: 100 });
      await errorOf(() => pool.get('a'));
    });
    await until(() => silent.open.size === 0);
    silent.server.close();
  });

  it('leaves no timer behind that keeps the process alive when the server refuses', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    await withRoot(async () => {
      const pool = poolOn(redis(), { url: 'redis://127.0.0.1:1', acquireTimeoutMs: 200 });
      await errorOf(() => pool.get('a'));
      expect(pool.stats().createFailed).toBeGreaterThan(1);
    });
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('does not make the end of the root wait for a connection that is being made', async () => {
    const silent = await silentServer();
    const { pending } = await withRoot(
      async () => {
        const pool = poolOn(redis(), { url: silent.url, connectTimeoutMs: 600_000, acquireTimeoutMs: 600_000 });
        const pending = errorOf(() => pool.get('a'));
        await until(() => silent.open.size === 1);
        return { pending };
      },
      { graceMs: 0 },
    );
    expect((await pending).code).toMatch(/^ERR_(SCOPE|POOL)_/);
    await until(() => silent.open.size === 0);
    silent.server.close();
  });
});

describe('a server that refuses', () => {
  it('shows ECONNREFUSED as the cause', async () => {
    const port = await freePort();
    await withRoot(async () => {
      const error = await errorOf(() => poolOn(redis(), { url: `redis://127.0.0.1:${port}`, acquireTimeoutMs: 60 }).get('a'));
      expect(error).toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT', cause: { code: 'ECONNREFUSED' } });
      expect(error.message).toContain('while creating');
    });
  });
});

describe('a restart of the server', () => {
  it('evicts what is dead, and commands that come meanwhile wait and succeed', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { acquireTimeoutMs: 20_000 });
      const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
      for (const lease of leases) lease.release();
      expect(pool.stats()).toMatchObject({ idle: 3, created: 3 });
      await redis().server.kill('SIGKILL');
      await until(() => pool.stats().closedBy.dead === 3);
      const plain = Promise.all(Array.from({ length: 20 }, () => pool.incr('n')));
      const exclusive = pool.use((connection) => connection.set('x', 1));
      await until(() => pool.stats().createFailed > 0);
      await redis().server.restart();
      expect(await plain).toHaveLength(20);
      expect(await exclusive).toBe('OK');
    });
    expect(await redis().clients('sp:')).toEqual([]);
  });

  it('ends what is on its way with an unknown outcome, once', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { acquireTimeoutMs: 20_000 });
      const popped = errorOf(() => pool.blpop('list', 0));
      await until(() => pool.stats().exclusive === 1);
      await redis().server.restart();
      expect(await popped).toMatchObject({ code: 'ERR_REDIS_CONNECTION', outcome: 'unknown', cause: { message: 'Connection is closed.' } });
      expect(await pool.ping()).toBe('PONG');
    });
  });

  it('ends what a holder does on a dead connection, who gets another one next time', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { acquireTimeoutMs: 20_000 });
      await pool.use(async (connection) => {
        await redis().server.restart();
        await until(() => connection.status === 'end');
        expect((await errorOf(() => connection.ping())).message).toMatch(/closed/);
      });
      expect(await pool.use((connection) => connection.ping())).toBe('PONG');
    });
  });
});

/** Lets everybody in and never says a word. */
async function silentServer(): Promise<{ readonly server: Server; readonly url: string; readonly open: ReadonlySet<Socket> }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket.resume().on('error', () => {}));
    socket.on('close', () => open.delete(socket));
  });
  return { server, url: `redis://127.0.0.1:${await listen(server)}`, open };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
