import { describe, expect, it, onTestFinished } from 'vitest';
import { withRoot, withScope } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { gate, poolOf, Server, turns } from './support.ts';

/** Every step at which a creation could be interrupted, and some after it. */
const STEPS = Array.from({ length: 15 }, (_, step) => step);

async function microtasks(count: number): Promise<void> {
  for (let step = 0; step < count; step++) await undefined;
}

describe('between the end of create and the first lease', () => {
  it.each(STEPS)('close() leaves nothing open, %i microtasks after create', async (step) => {
    const server = new Server();
    const creating = gate();
    server.onCreate = () => creating.promise;
    const pool = poolOf(server, { max: 1 });
    await withRoot(async () => {
      const lease = pool.acquire().then(
        (begun) => begun.release(),
        () => {},
      );
      await turns();
      creating.open();
      await microtasks(step);
      await pool.close({ graceMs: Number.POSITIVE_INFINITY });
      await lease;
      expect(server.open).toBe(0);
    });
  });

  it.each(STEPS)('a connection that dies is not lent again, %i microtasks after create', async (step) => {
    const server = new Server();
    const creating = gate();
    server.onCreate = () => creating.promise;
    let isWatched = false;
    const onDead: typeof server.onDead = (connection, report) => {
      isWatched = true;
      connection.die = report;
    };
    const pool = poolOf(server, { max: 1, onDead });
    await withRoot(async () => {
      const first = pool.use(() => {});
      await turns();
      creating.open();
      await microtasks(step);
      const dying = isWatched ? server.last : undefined;
      dying?.die();
      await first;
      await turns();
      const next = await pool.acquire();
      if (dying) expect(next.resource).not.toBe(dying);
      next.release();
    });
  });
});

describe('a forgotten await', () => {
  /** Rejections that nobody handled, until the end of the test. */
  function unhandled(): unknown[] {
    const seen: unknown[] = [];
    const handlers = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (error) => seen.push(error));
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection');
      for (const handler of handlers) process.on('unhandledRejection', handler);
    });
    return seen;
  }

  it('on use() that waits is reported with pool and line when its scope ends, and ends nothing else', async () => {
    const lost = unhandled();
    const reports: unknown[] = [];
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      await withScope(
        () => {
          void pool.use(() => {});
          void pool.acquire();
        },
        { onSuppressed: (error) => reports.push(error) },
      );
      held.release();
      await turns();
    });
    const report = { code: 'ERR_SCOPE_CLOSED', message: expect.stringMatching(`pool "${pool.name}".*gaps.test.ts:`) };
    expect(reports).toMatchObject([report, report]);
    expect(lost).toEqual([]);
  });

  it('on use() that runs is reported as a leak, and what then fails in it ends nothing else', async () => {
    const lost = unhandled();
    const reports: unknown[] = [];
    const pool = poolOf(new Server(), { max: 1 });
    const revoked = gate();
    await withRoot(async () => {
      await withScope(
        async () => {
          void pool.use(async () => {
            await revoked.promise;
            throw new Error('Connection is closed.');
          });
          await until(() => pool.stats().exclusive === 1);
        },
        { onSuppressed: (error) => reports.push(error) },
      );
      revoked.open();
      await turns();
    });
    expect(reports).toMatchObject([{ code: 'ERR_LEASE_LEAKED' }]);
    expect(lost).toEqual([]);
  });

  it('on use() whose function fails by itself is an unhandled rejection, as with any promise', async () => {
    const lost = unhandled();
    const boom = new Error('boom');
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      void pool.use(async () => {
        throw boom;
      });
      await until(() => lost.length === 1);
    });
    expect(lost).toEqual([boom]);
  });
});

describe('a deadlock that a release completes', () => {
  it('is seen before the timeout', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 2, acquireTimeoutMs: 60_000 });
    await withRoot(async () => {
      const [ask, left] = [gate(), gate()];
      const nested = pool.share(async () => {
        await ask.promise;
        return pool.use(() => {});
      });
      const failing = expect(nested).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      const other = pool.share(() => left.promise);
      await until(() => pool.stats().sharers === 2);
      const third = pool.share(() => {});
      // Not yet one: the third gets the place of the other.
      ask.open();
      await until(() => pool.stats().pending === 2);
      left.open();
      await Promise.all([other, failing]);
      await third;
    });
  });
});

describe('one AbortSignal for many acquires', () => {
  it('ends all of them, and is no leak that Node warns of', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const pool = poolOf(new Server(), { max: 1 });
    await withRoot(async () => {
      const held = await pool.acquire();
      const controller = new AbortController();
      const waiting = Array.from({ length: 20 }, () => pool.acquire({ signal: controller.signal }));
      await turns();
      controller.abort('enough');
      const ended = await Promise.allSettled(waiting);
      expect(ended).toMatchObject(waiting.map(() => ({ reason: { code: 'ERR_ACQUIRE_ABORTED', cause: 'enough' } })));
      held.release();
    });
    await turns();
    expect(warnings).toEqual([]);
  });
});

describe('a connection that dies as its check begins', () => {
  it('is not handed to validate any more', async () => {
    const server = new Server();
    const validated: number[] = [];
    const pool = poolOf(server, { max: 1, validateAfterIdleMs: 0, validate: ({ id }) => void validated.push(id) });
    await withRoot(async () => {
      await pool.use(() => {});
      const next = pool.acquire();
      server.last?.die();
      (await next).release();
    });
    expect(server.made.map(({ id }) => id)).toEqual([1, 2]);
    expect(validated).toEqual([]);
  });
});
