import { afterEach, describe, expect, it, vi } from 'vitest';
import * as first from '../../src/index.ts';
import { until } from '../support/until.ts';
import { poolName, Server, turns } from './support.ts';

/** Another copy of the library in this process, as of a second version in node_modules. */
async function anotherCopy(): Promise<typeof first> {
  vi.resetModules();
  const copy = await import('../../src/index.ts');
  expect(copy.Scope).not.toBe(first.Scope);
  return copy;
}

const functionsOf = ({ create, destroy, onDead }: Server) => ({ create, destroy, onDead });

describe('Rule 5: two copies of the package in one process', () => {
  afterEach(() => vi.resetModules());

  const directions = [
    ['the older defines, the newer opens the scope', async () => [first, await anotherCopy()]],
    ['the newer defines, the older opens the scope', async () => [await anotherCopy(), first]],
  ] as const;

  describe.each(directions)('%s', (_, copies) => {
    it('keeps limits, and closes with the root', async () => {
      const [definer, opener] = (await copies()) as [typeof first, typeof first];
      const server = new Server();
      const pool = definer.definePool(poolName(), functionsOf(server));
      await opener.withRoot(
        async () => {
          await Promise.all(Array.from({ length: 8 }, () => pool.use(() => turns(1))));
          expect(pool.stats()).toMatchObject({ max: 2, created: 2 });
          expect(definer.currentScope()).toBe(opener.currentScope());
        },
        { limits: { [pool.name]: 2 } },
      );
      expect(server.made).toHaveLength(2);
      expect(server.open).toBe(0);
    });

    it('revokes and reports leaks, with errors that both know', async () => {
      const [definer, opener] = (await copies()) as [typeof first, typeof first];
      const server = new Server();
      const pool = definer.definePool(poolName(), functionsOf(server));
      const reported: unknown[] = [];
      await opener.withRoot(async () => {
        await opener.withScope(() => pool.acquire(), { onSuppressed: (error) => void reported.push(error) });
        await until(() => server.open === 0);
      });
      expect(reported).toHaveLength(1);
      expect(reported[0]).toBeInstanceOf(definer.LeaseLeakedError);
      expect(reported[0]).toBeInstanceOf(opener.LeaseLeakedError);
    });

    it('ends the waiters of a cancelled scope', async () => {
      const [definer, opener] = (await copies()) as [typeof first, typeof first];
      const pool = definer.definePool(poolName(), { create: () => ({}), max: 1 });
      await opener.withRoot(async (root) => {
        const held = await pool.acquire();
        const job = new opener.Scope({ parent: root });
        const waiting = job.run(() => pool.acquire()).catch((error: unknown) => error);
        await turns();
        job.cancel();
        expect(await waiting).toMatchObject({ code: 'ERR_SCOPE_CANCELLED' });
        await job.close();
        held.release();
      });
    });

    it('sees nested acquires and their deadlocks', async () => {
      const [definer, opener] = (await copies()) as [typeof first, typeof first];
      const pool = definer.definePool(poolName(), { create: () => ({}), max: 1, acquireTimeoutMs: 60_000 });
      await opener.withRoot(async () => {
        await expect(pool.use(() => pool.use(() => {}))).rejects.toMatchObject({ code: 'ERR_POOL_DEADLOCK' });
      });
    });

    it('gives the same pool for the same definition, and drains the old one for another', async () => {
      const [definer, opener] = (await copies()) as [typeof first, typeof first];
      const server = new Server();
      const { create, destroy } = server;
      const name = poolName();
      const warnings: string[] = [];
      const onWarning = ({ message }: Error) => void warnings.push(message);
      process.on('warning', onWarning);
      await definer.withRoot(async () => {
        const pool = definer.definePool(name, { create, destroy, max: 2 });
        expect(opener.definePool(name, { create, destroy, max: 2 })).toBe(pool);
        await pool.use(() => {});
        const newer = opener.definePool(name, { create, destroy, max: 3 });
        expect(newer).not.toBe(pool);
        await until(() => server.open === 0);
        await pool.use(() => {});
        expect(pool.stats().max).toBe(3);
      });
      await until(() => warnings.length > 0);
      process.off('warning', onWarning);
      expect(warnings.filter((message) => message.includes(name))).toHaveLength(1);
      expect(server.open).toBe(0);
    });
  });
});
