import { execFileSync } from 'node:child_process';
import { withRoot } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { errorOf, poolOn } from './support.ts';

const redis = useRedis({ fresh: true });

/** Sends one command to the server and ends when it is answered. */
const KILLER = `
  const socket = require('node:net').connect(Number(process.argv[1]), process.argv[2]);
  socket.once('data', () => socket.destroy());
  socket.write('CLIENT KILL TYPE normal SKIPME yes\\r\\n');`;

/** Kills the connections of the tests, and leaves the event loop no time to hear of it: it stands still meanwhile. */
function killUnheard(): void {
  const { host, port } = redis().server;
  execFileSync(process.execPath, ['-e', KILLER, String(port), host]);
}

describe('a connection that has died before the process could hear of it', () => {
  it('is not lent by use, and the command works at the first try', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 5; round++) {
        await pool.use((connection) => connection.ping());
        killUnheard();
        expect(await pool.use((connection) => connection.incr('n'))).toBe(round);
      }
      expect(pool.stats()).toMatchObject({ created: 6, closedBy: { dead: 5 } });
    });
  });

  it('gets no plain command', async () => {
    await redis().observer.del('n');
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 5; round++) {
        await pool.ping();
        killUnheard();
        expect(await pool.incr('n')).toBe(round);
      }
    });
  });

  it('is not lent by use in the very turn in which its last reply was read', async () => {
    await redis().observer.del('n');
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 5; round++) {
        const used = pool.use((connection) => connection.ping().then(() => killUnheard()));
        // Nothing but promises between the reply, the end of that lease and the begin of this one.
        expect(await used.then(() => pool.use((connection) => connection.incr('n')))).toBe(round);
      }
    });
  });

  it('gets no plain command, though others are on it', async () => {
    await redis().observer.del('n');
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 2, retry: { maxAttempts: 1 } });
      for (let round = 1; round <= 5; round++) {
        const lease = await pool.acquireShared();
        await lease.resource.ping();
        killUnheard();
        expect(await pool.incr('n')).toBe(round);
        lease.release();
      }
    });
  });

  it('ends honest when it dies under its holder', async () => {
    await withRoot(async () => {
      const pool = poolOn(redis(), { max: 1 });
      await pool.use((connection) => connection.ping());
      const error = await pool.use(async (connection) => {
        killUnheard();
        return errorOf(() => connection.incr('n'));
      });
      expect(error).toMatchObject({ code: 'ERR_REDIS_CONNECTION' });
    });
  });
});
