import { describe, expect, it, vi } from 'vitest';
import { LeaseOverdueError, withRoot, withScope } from '../../src/index.ts';
import { Pool } from '../../src/pool/pool.ts';
import { published } from '../support/events.ts';
import { until } from '../support/until.ts';
import { gate, poolName, poolOf, Server, turns } from './support.ts';

/** Runs it in a root of its own. @returns what was reported, and from where. */
async function reportsOf(fn: (reports: unknown[]) => Promise<unknown>): Promise<readonly { error: unknown; from: string }[]> {
  const reports: { error: unknown; from: string }[] = [];
  await withRoot(() => fn(reports), { name: 'root', onSuppressed: (error, from) => void reports.push({ error, from }) });
  return reports;
}

/** Lets nothing else run. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('leakAfterMs', () => {
  it('reports a lease that is held for too long, once, with its age, its scope and the stack that acquired it', async () => {
    const pool = poolOf(new Server(), { leakAfterMs: 10 });
    const all = published('leaseOverdue');
    const reports = await reportsOf(async () => {
      const lease = await withScope(() => pool.use(() => until(() => pool.stats().overdue === 1)), { name: 'job' }).then(() =>
        pool.acquire(),
      );
      await until(() => pool.stats().overdue === 2);
      // Long enough for a second report of it.
      const other = await pool.acquire();
      await until(() => pool.stats().overdue === 3);
      expect(lease.ended).toBe(false);
      expect(lease.resource).toMatchObject({ isOpen: true });
      lease.release();
      other.release();
    });
    expect(reports.map(({ from }) => from)).toEqual([`job/pool ${pool.name}`, `pool ${pool.name}`, `pool ${pool.name}`]);
    const error = reports[0]?.error as LeaseOverdueError;
    expect(error).toBeInstanceOf(LeaseOverdueError);
    expect(error).toMatchObject({
      code: 'ERR_LEASE_OVERDUE',
      holder: { pool: pool.name, scope: 'job', exclusive: true, site: expect.stringMatching(/overdue\.test\.ts:\d+:\d+$/), waitsFor: [] },
    });
    expect(error.holder.heldMs).toBeGreaterThanOrEqual(10);
    expect(all[0]?.said).toEqual({ pool: pool.name, scope: 'job', holder: error.holder });
    expect((error.cause as Error).stack).toContain('overdue.test.ts');
    expect(error.message).toMatch(
      /^pool "pool-\d+": probably a leaked lease, held exclusively by scope "job" for \d+ ms, since .*overdue\.test\.ts:\d+:\d+: longer than the 10 ms/,
    );
  });

  it('reports each of several leases on a connection, at its own time', async () => {
    const pool = poolOf(new Server(), { max: 1, maxSharers: 3, leakAfterMs: 15 });
    const reports = await reportsOf(async (told) => {
      const first = await pool.acquireShared();
      block(8);
      const second = await pool.acquireShared();
      const third = await pool.acquireShared();
      third.release();
      await until(() => told.length === 2);
      first.release();
      second.release();
    });
    expect(reports).toMatchObject([{ error: { holder: { exclusive: false } } }, { error: { holder: { exclusive: false } } }]);
  });

  it('says what the code that holds too long waits for', async () => {
    const pool = poolOf(new Server(), { max: 1, leakAfterMs: 10 });
    const other = poolOf(new Server(), { max: 1 });
    const reports = await reportsOf(async (told) => {
      const held = await other.acquire();
      const stuck = pool.use(() => other.use(() => {}));
      await until(() => told.length === 1);
      held.release();
      await stuck;
    });
    expect(reports).toMatchObject([{ error: { holder: { waitsFor: [{ pool: other.name, exclusive: true }] } } }]);
  });

  it('reports nobody who waits, however long, and counts from the begin of the lease', async () => {
    const pool = poolOf(new Server(), { max: 1, leakAfterMs: 20 });
    const reports = await reportsOf(async (told) => {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      await until(() => told.length === 1);
      block(25);
      held.release();
      const second = await waiting;
      await turns(1);
      second.release();
    });
    expect(reports).toHaveLength(1);
  });

  it('counts nothing that blocked the event loop before the lease', async () => {
    const pool = poolOf(new Server(), { max: 1, leakAfterMs: 200 });
    const reports = await reportsOf(async () => {
      await pool.use(() => {});
      block(300);
      await pool.use(() => turns());
    });
    expect(reports).toEqual([]);
  });

  it('reports no command of the library and no lease that has ended', async () => {
    class CommandPool extends Pool<unknown> {
      send(exclusive: boolean, fn: () => Promise<unknown>) {
        return Promise.resolve(this.lend(exclusive, 'library')).then((lease) => fn().finally(() => lease.release()));
      }
    }
    const server = new Server();
    const pool = new CommandPool(poolName(), { create: server.create, leakAfterMs: 10, maxSharers: 9 });
    const watched = poolOf(new Server(), { leakAfterMs: 10 });
    const reports = await reportsOf(async (told) => {
      await pool.use(() => {});
      const isWatched = async () => {
        const count = told.length;
        await watched.use(() => until(() => told.length === count + 1));
      };
      await pool.send(false, isWatched);
      await pool.send(true, isWatched);
      expect(pool.stats().overdue).toBe(0);
    });
    expect(reports).toMatchObject([{ error: { holder: { pool: watched.name } } }, { error: { holder: { pool: watched.name } } }]);
  });

  it('keeps no process alive', async () => {
    const pool = poolOf(new Server(), { leakAfterMs: 60_000 });
    // Those that do; others are not listed.
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    await withRoot(async () => {
      const before = timers();
      const lease = await pool.acquire();
      expect(timers()).toBeLessThanOrEqual(before);
      lease.release();
    });
  });

  it('becomes a process warning where nobody is told', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const pool = poolOf(new Server(), { leakAfterMs: 5 });
    await withRoot(() => pool.use(() => until(() => pool.stats().overdue === 1)));
    expect(warned.mock.calls).toEqual([[expect.objectContaining({ code: 'ERR_LEASE_OVERDUE' })]]);
    warned.mockRestore();
  });

  it('goes on when who is told throws', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const pool = poolOf(new Server(), { max: 2, leakAfterMs: 5 });
    const broken = () => {
      throw new Error('broken handler');
    };
    await withRoot(
      async () => {
        const leases = [await pool.acquire(), await pool.acquire()];
        await until(() => pool.stats().overdue === 2);
        for (const lease of leases) lease.release();
      },
      { onSuppressed: broken },
    );
    expect(warned.mock.calls.map(([error]) => (error as { code?: string; message: string }).code ?? (error as Error).message)).toEqual([
      'broken handler',
      'ERR_LEASE_OVERDUE',
      'broken handler',
      'ERR_LEASE_OVERDUE',
    ]);
    warned.mockRestore();
  });

  it('reports nothing after the pool has been closed', async () => {
    const pool = poolOf(new Server(), { leakAfterMs: 5 });
    const watched = poolOf(new Server(), { leakAfterMs: 10 });
    const reports = await reportsOf(async (told) => {
      const lease = await pool.acquire();
      const closed = pool.close();
      await watched.use(() => until(() => told.length === 1));
      lease.release();
      await closed;
    });
    expect(reports).toMatchObject([{ error: { holder: { pool: watched.name } } }]);
  });

  it('takes the stack of every acquire while somebody waits, without it only of the first hundred and some', async () => {
    const sampled = async (leakAfterMs: number) => {
      const pool = poolOf(new Server(), { max: 1, leakAfterMs });
      const sites = new Set<string | undefined>();
      await withRoot(async () => {
        for (let count = 0; count < 200; count++) await pool.use(() => {});
        const done = gate();
        const held = pool.use(() => done.promise);
        const waiting = Array.from({ length: 20 }, () => pool.use(() => {}));
        for (const { site } of pool.inspect().waiters.slice(1)) sites.add(site?.replace(/.*\/(.*):\d+$/, '$1').replace(/:\d+$/, ''));
        done.open();
        await Promise.all([held, ...waiting]);
      });
      return [...sites];
    };
    expect(await sampled(60_000)).toEqual(['overdue.test.ts']);
    expect(await sampled(Number.POSITIVE_INFINITY)).toEqual([undefined]);
  });
});
