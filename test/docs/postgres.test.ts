import { Client } from 'pg';
import { PoolUnavailableError, withRoot } from 'scoped-pool';
import { expectNoLeaks } from 'scoped-pool/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DevPostgres, lacksPostgres, startPostgres } from '../../dev/postgres-server.ts';
import { until } from '../support/until.ts';

type Example = typeof import('../../examples/postgres.ts');

const missing = lacksPostgres();
let server: DevPostgres;
let example: Example;
let pool: Example['postgres'];
let observer: Client;

/** The example, loaded once more, for another address. */
async function load(url: string): Promise<Example> {
  process.env.DATABASE_URL = url;
  const file = `../../examples/postgres.ts?${encodeURIComponent(url)}`;
  return import(file);
}

async function look(): Promise<void> {
  observer = new Client({ connectionString: server.url, application_name: 'observer' });
  observer.on('error', () => {});
  await observer.connect();
}

const SEEN = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'observer'";

/** The connections that the server has, the observer's apart. */
const backends = async () => (await observer.query<{ pid: number }>(`SELECT pid ${SEEN}`)).rows.map(({ pid }) => pid);
const kill = async (pid: number) => void (await observer.query('SELECT pg_terminate_backend($1, 5000)', [pid]));
const pidOf = async (client: Client) => (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
const value = async (client: Client, text: string) => Object.values((await client.query(text)).rows[0])[0];
/** Whether the connection has no transaction, and none of its statements see one. */
const isClean = (client: Client) => client.getTransactionStatus() === 'I';

beforeAll(async () => {
  if (missing !== undefined) return;
  server = await startPostgres();
  await look();
  // Deadlines that the tests need not wait for so long.
  example = await load(`${server.url}?query_timeout=2000&statement_timeout=2000`);
  pool = example.postgres;
});
afterAll(async () => {
  await observer?.end();
  await server?.stop();
});
beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(async () => {
  await expectNoLeaks();
  if (missing === undefined) await until(async () => (await backends()).length === 0, { timeoutMs: 20_000 });
});

const one = { limits: { postgres: { max: 1, acquireTimeoutMs: 20_000 } } };

describe('examples/postgres.ts', () => {
  it('runs ten transactions on three connections at most', async () => {
    const served = await example.main();
    expect([1, 2, 3]).toContain(served);
  });
});

describe('a connection that was killed', () => {
  it('is not lent, when it was idle', async () => {
    await withRoot(async () => {
      for (let round = 0; round < 10; round++) {
        const pid = await pool.use(pidOf);
        await kill(pid);
        expect(await pool.use(pidOf)).not.toBe(pid);
      }
      expect(pool.stats()).toMatchObject({ created: 11, createFailed: 0, timeouts: 0 });
    }, one);
  });

  it('fails whoever holds it, and no other', async () => {
    await withRoot(async () => {
      const killed = pool.use(async (client) => {
        await kill(await pidOf(client));
        return client.query('SELECT 1');
      });
      const next = pool.use(pidOf);
      await expect(killed).rejects.toThrow();
      expect(await next).toBeGreaterThan(0);
    }, one);
  });

  it('is replaced within the limit, under load', async () => {
    const limits = { postgres: { max: 3, acquireTimeoutMs: 20_000 } };
    await withRoot(
      async () => {
        let served = 0;
        const ask = async () => {
          await pool.use((client) => client.query('SELECT pg_sleep(0.002)'));
          served++;
        };
        const asked = Promise.allSettled(Array.from({ length: 300 }, ask));
        for (let kills = 1; kills <= 10; kills++) {
          await until(() => served >= kills * 20, { timeoutMs: 20_000 });
          const [pid, ...others] = await backends();
          expect(others.length).toBeLessThan(3);
          if (pid) await kill(pid);
        }
        const failed = (await asked).filter(({ status }) => status === 'rejected');
        expect(failed.length).toBeLessThanOrEqual(10);
        expect(await pool.use((client) => value(client, 'SELECT 7'))).toBe(7);
      },
      { limits },
    );
  });
});

describe('a server that fails', () => {
  it('is waited for while it restarts, and nobody gets a connection from before', async () => {
    await withRoot(async () => {
      const before = await pool.use(pidOf);
      await server.crash();
      const waiting = pool.use(pidOf);
      await server.restart();
      expect(await waiting).not.toBe(before);
      expect(pool.stats()).toMatchObject({ open: 1, inUse: 0, pending: 0 });
    }, one);
    await look();
  });

  it('fails in time while it is frozen, and serves again when it thaws', async () => {
    await withRoot(async () => {
      await pool.use(pidOf);
      await server.freeze();
      await expect(pool.use(pidOf)).rejects.toThrow('Query read timeout');
      await expect(pool.use(pidOf, { acquireTimeoutMs: 200 })).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      server.thaw();
      expect(await pool.use(pidOf)).toBeGreaterThan(0);
      await until(async () => (await backends()).length === 1);
    }, one);
  });

  it('frozen, gets no query on a connection that was idle for long', async () => {
    await withRoot(async () => {
      await pool.use(pidOf);
      const idleSince = performance.now();
      await until(() => performance.now() - idleSince > 5_100, { timeoutMs: 20_000 });
      await server.freeze();
      const lent: Client[] = [];
      const asked = pool.use((client) => lent.push(client), { acquireTimeoutMs: 3_000 });
      await expect(asked).rejects.toMatchObject({ code: 'ERR_POOL_ACQUIRE_TIMEOUT' });
      expect(lent).toEqual([]);
      expect(pool.stats().closedBy.invalid).toBe(1);
      server.thaw();
      expect(await pool.use(pidOf)).toBeGreaterThan(0);
    }, one);
  });

  it('keeps no scope from closing while it is frozen', async () => {
    const reports: unknown[] = [];
    await withRoot(
      async () => {
        await pool.use(pidOf);
        await server.freeze();
      },
      { ...one, onSuppressed: (error) => void reports.push(error) },
    );
    await expectNoLeaks();
    expect(reports).toEqual([]);
    server.thaw();
  });
});

describe('what a holder leaves', () => {
  beforeAll(async () => {
    if (missing === undefined) await observer.query('CREATE TABLE rows (n int PRIMARY KEY)');
  });

  it.each([
    ['fails', (client: Client) => Promise.reject(new Error(`failed in ${client.getTransactionStatus()}`)), 'failed in T'],
    ['meets an error of the server', (client: Client) => client.query('INSERT INTO rows VALUES (1)'), 'duplicate key'],
  ])('in a transaction, when it %s, is rolled back, and the connection is lent on clean', async (_, fail, message) => {
    await withRoot(async () => {
      const pid = await pool.use(pidOf);
      const left = pool.use(async (client) => {
        await client.query('BEGIN');
        await client.query('INSERT INTO rows VALUES (1)');
        await fail(client);
      });
      await expect(left).rejects.toThrow(message);
      await pool.use(async (client) => {
        expect(isClean(client)).toBe(true);
        expect(await pidOf(client)).toBe(pid);
        expect(await value(client, 'SELECT count(*)::int FROM rows')).toBe(0);
        expect(await value(client, 'SELECT pg_current_xact_id_if_assigned()')).toBeNull();
      });
    }, one);
  });

  it('of settings, locks, listening and temporary tables is gone on the same connection; its named statements still work', async () => {
    const named = { name: 'seven', text: 'SELECT 7 AS n' };
    await withRoot(async () => {
      const pid = await pool.use(async (client) => {
        await client.query("SET statement_timeout = 1; SET search_path = 'nowhere'; SET ROLE pg_monitor; LISTEN news");
        await client.query('SET statement_timeout = 0; CREATE TEMP TABLE mine (n int); SELECT pg_advisory_lock(1)');
        expect((await client.query(named)).rows).toEqual([{ n: 7 }]);
        return pidOf(client);
      });
      await pool.use(async (client) => {
        expect(await pidOf(client)).toBe(pid);
        expect(await value(client, 'SHOW search_path')).toBe('"$user", public');
        expect(await value(client, 'SHOW statement_timeout')).toBe('2s');
        expect(await value(client, 'SELECT current_user')).toBe('postgres');
        expect(await value(client, "SELECT to_regclass('mine')")).toBeNull();
        expect(await value(client, 'SELECT count(*)::int FROM pg_listening_channels()')).toBe(0);
        expect(await value(client, "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'")).toBe(0);
        expect((await client.query(named)).rows).toEqual([{ n: 7 }]);
      });
      expect(pool.stats().created).toBe(1);
    }, one);
  });

  it('of a query that failed alone does not cost the connection', async () => {
    await withRoot(async () => {
      for (let round = 0; round < 20; round++) {
        await expect(pool.use((client) => client.query('SELECT $1::int / 0', [round]))).rejects.toThrow('division by zero');
      }
      expect(pool.stats().created).toBe(1);
    }, one);
  });

  it.each<[string, (client: Client) => Promise<unknown>]>([
    ['a BEGIN', (client) => client.query('BEGIN')],
    ['a query that does not end', (client) => client.query('SELECT pg_sleep(60)')],
    ['a chain of queries', (client) => client.query('SELECT 1').then(() => client.query('BEGIN'))],
    ['a chain that fails', (client) => client.query('SELECT 1').then(() => client.query('BEGIN; SELECT 1 / 0'))],
  ])('running, %s that was not awaited, never reaches the next', async (_, leave) => {
    await withRoot(async () => {
      let left: Promise<unknown> = Promise.resolve();
      const pid = await pool.use(async (client) => {
        const own = await pidOf(client);
        left = leave(client).catch(() => {});
        return own;
      });
      await pool.use(async (client) => {
        expect(isClean(client)).toBe(true);
        expect(await pidOf(client)).not.toBe(pid);
        await left;
        expect(await value(client, 'SELECT pg_current_xact_id_if_assigned()')).toBeNull();
        expect(isClean(client)).toBe(true);
      });
    }, one);
  });

  it('running, a query that ends soon, has ended before the next begins, on the same connection', async () => {
    await withRoot(async () => {
      let hasEnded = false;
      const pid = await pool.use(async (client) => {
        void client.query('SELECT pg_sleep(0.05)').then(() => {
          hasEnded = true;
        });
        return client;
      });
      const next = await pool.use(async (client) => {
        expect(hasEnded).toBe(true);
        return client;
      });
      expect(next).toBe(pid);
    }, one);
  });
});

// Last, for the newest definition is the one that counts.
describe('an address that can never serve', () => {
  it.each([
    ['a wrong password', '28P01', (url: string) => url.replace(/:[^:@]+@/, ':guessed@')],
    ['a database that is not there', '3D000', (url: string) => url.replace(/postgres$/, 'nowhere')],
  ])('because of %s, fails at once', async (_, code, change) => {
    const { postgres } = await load(change(server.url));
    await withRoot(async () => {
      const error = await postgres.use(pidOf, { acquireTimeoutMs: 25_000 }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(PoolUnavailableError);
      expect(error).toMatchObject({ code: 'ERR_POOL_UNAVAILABLE', cause: { code } });
      expect(postgres.stats().createFailed).toBe(1);
    });
  });
});
