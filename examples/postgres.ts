// A pool of Postgres connections: none that is dead is lent, and none as its last holder left it.
import { Client, type DatabaseError } from 'pg';
import { definePool, withRoot } from 'scoped-pool';

const connectionString = process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres';
// What DISCARD ALL does, but for prepared statements: pg remembers those that have a name, and would use them again.
const CLEAN = `CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
  DISCARD TEMP; DISCARD SEQUENCES`;

export const postgres = definePool('postgres', {
  max: 10,
  async create({ signal }) {
    // A query ends in time: at the server, and where that does not answer, here.
    const client = new Client({ connectionString, statement_timeout: 5_000, query_timeout: 6_000 });
    signal.addEventListener('abort', () => client.connection.stream.destroy());
    return client.connect();
  },
  async destroy(client) {
    // It says goodbye, but a server that does not answer would keep the socket half open.
    const timer = setTimeout(() => client.connection.stream.destroy(), 1_000);
    await client.end();
    clearTimeout(timer);
  },
  onDead: (client, report) => client.on('error', report).once('end', () => report()),
  isUsable: (client) => isIdle(client) && client.connection.stream.readable && client.connection.stream.writable,
  validate: (client) => client.query('SELECT 1'),
  // pg knows of transactions, not of settings, locks and temporary tables, so the server is asked each time; the holder
  // does not wait for that. Queries that were not awaited go first: one that does not end costs the connection.
  async reset(client) {
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK');
    await client.query(CLEAN);
  },
  // Wrong password or user, no such database.
  isFinal: (error) => ['28P01', '28000', '3D000'].includes((error as DatabaseError).code ?? ''),
});

/** Whether no query runs and no transaction is open. */
const isIdle = (client: Client & { readyForQuery?: boolean }) => client.readyForQuery === true && client.getTransactionStatus() === 'I';

/** Needs no catch: what `fn` leaves open with its error, `reset` rolls back. */
const inTransaction = <T>(fn: (client: Client) => Promise<T>) =>
  postgres.use(async (client) => {
    await client.query('BEGIN');
    const value = await fn(client);
    await client.query('COMMIT');
    return value;
  });

/** Runs ten transactions at once. @returns how many connections served them, at most 3. */
export async function main(): Promise<number> {
  const pid = (client: Client) => client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const all = () => Promise.all(Array.from({ length: 10 }, () => inTransaction(pid)));
  const results = await withRoot(all, { limits: { postgres: 3 } });
  return new Set(results.map(({ rows }) => rows[0]?.pid)).size;
}

if (process.argv[1] === import.meta.filename) console.log(`connections: ${await main()}`);
