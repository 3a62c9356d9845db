import { describe, expect, it } from 'vitest';
import { CHANNELS, withRoot } from '../../src/index.ts';
import { published } from '../support/events.ts';
import { poolOf, Server } from './support.ts';

/** A root that keeps what is reported in it. */
async function reportsOf(fn: () => Promise<unknown>): Promise<unknown[]> {
  const reports: unknown[] = [];
  await withRoot(fn, { onSuppressed: (error) => void reports.push(error) });
  return reports;
}

describe('a function of the definition that answers wrongly', () => {
  it('is reported when reset throws, and its connection is replaced', async () => {
    const bug = new TypeError('my bug');
    const pool = poolOf(new Server(), {
      max: 1,
      reset: () => {
        throw bug;
      },
    });
    const reports = await reportsOf(async () => {
      await pool.use(() => {});
      await pool.use(({ id }) => expect(id).toBe(2));
    });
    expect(reports).toEqual([bug, bug]);
  });

  it('is reported when isUsable throws, and the acquire says that nothing usable was made', async () => {
    const bug = new TypeError('my bug');
    const pool = poolOf(new Server(), {
      acquireTimeoutMs: 30,
      isUsable: () => {
        throw bug;
      },
    });
    const reports = await reportsOf(async () => {
      await expect(pool.acquire()).rejects.toMatchObject({ cause: { message: expect.stringContaining('cannot be used') } });
    });
    expect(reports).toContain(bug);
  });
});

describe('why a connection was replaced', () => {
  it('is not what the connection says when the pool closes it', async () => {
    const server = new Server();
    server.onDestroy = (connection) => connection.die(new Error('Connection terminated'));
    const closed = published('connectionClosed');
    const pool = poolOf(server);
    await withRoot(() => pool.use(() => {}));
    expect(closed.map(({ message }) => [message.reason, message.error])).toEqual([['closed', undefined]]);
  });

  const closings = async (fn: () => Promise<unknown>): Promise<unknown[]> => {
    const all: unknown[] = [];
    const listen = (message: unknown) => void all.push(message);
    CHANNELS.connectionClosed.subscribe(listen);
    try {
      await withRoot(fn);
    } finally {
      CHANNELS.connectionClosed.unsubscribe(listen);
    }
    return all;
  };

  it('is told with the error of validate', async () => {
    const lost = new Error('lost');
    const pool = poolOf(new Server(), { max: 1, validateAfterIdleMs: 0, validate: ({ id }) => (id === 1 ? Promise.reject(lost) : true) });
    const all = await closings(async () => {
      await pool.use(() => {});
      await pool.use(() => {});
    });
    expect(all).toMatchObject([
      { reason: 'invalid', error: lost },
      { reason: 'closed', error: undefined },
    ]);
  });

  it('is told with what onDead was told', async () => {
    const reset = new Error('ECONNRESET');
    const pool = poolOf(new Server(), { max: 1 });
    const all = await closings(async () => {
      await pool.use((connection) => connection.die(reset));
    });
    expect(all).toMatchObject([{ reason: 'dead', error: reset }]);
  });

  it('is the cause when a connection is dead on arrival', async () => {
    const gone = new Error('gone');
    const pool = poolOf(new Server(), { acquireTimeoutMs: 20, onDead: (_, report) => report(gone) });
    await withRoot(async () => {
      await expect(pool.acquire()).rejects.toMatchObject({ cause: { cause: gone } });
    });
  });
});
