import { Scope } from 'scoped-pool';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inspectProcess, scopesText } from '../../src/inspect/index.ts';
import { leaks, watchLeaks } from '../../src/inspect/leaks.ts';
import { poolOf, Server } from '../pool/support.ts';

/** The line from which this is called. */
const line = () => Number(/leaks\.test\.ts:(\d+)/.exec(new Error('line').stack?.split('\n')[2] ?? '')?.[1]);
const of = (name: string) => leaks().filter(({ pool }) => pool === name);

function rootScope(): Scope {
  const root = new Scope({ parent: null, name: 'app' });
  onTestFinished(() => root.close());
  return root;
}

/** A job that ends with a lease that it has forgotten, as its scope says. */
async function leak(root: Scope, name: string, acquire: () => Promise<unknown>): Promise<void> {
  const job = new Scope({ parent: root, name, onError: () => {} });
  await job.run(acquire);
  await job.close();
}

describe('leaks', () => {
  it('are counted by pool and line, with the calls that led there most often and the scope of the last', async () => {
    watchLeaks();
    const root = rootScope();
    const pool = poolOf(new Server(), { max: 3 });
    const helperAt = line() + 1;
    const helper = () => pool.acquire();
    const seldom = () => helper();
    const often = () => helper();
    for (const [name, acquire] of [
      ['one', seldom],
      ['two', often],
      ['three', often],
    ] as const)
      await leak(root, name, acquire);
    const named = (name: string) => expect.stringMatching(new RegExp(`^${name} \\(.*leaks\\.test\\.ts:`));
    expect(of(pool.name)).toEqual([
      {
        ...{ pool: pool.name, scope: 'three', site: expect.stringContaining(`leaks.test.ts:${helperAt}:`) },
        ...{ stack: expect.arrayContaining([named('helper'), named('often')]), leaked: 3, grown: 3, lastMs: expect.any(Number) },
      },
    ]);
    await leak(root, 'elsewhere', () => pool.acquire());
    expect(of(pool.name).map(({ scope, leaked }) => [scope, leaked])).toEqual([
      ['elsewhere', 1],
      ['three', 3],
    ]);
    expect(inspectProcess().leaks.filter(({ pool: name }) => name === pool.name)).toMatchObject([{ leaked: 1 }, { leaked: 3 }]);
    expect(scopesText()).toMatch(
      new RegExp(`^leaked: 3 \\(\\+3 in 10 s\\) of pool ${pool.name}, at .*leaks\\.test\\.ts:${helperAt}:`, 'm'),
    );
  });

  it('are not what is still held, nor what was given back', async () => {
    watchLeaks();
    const root = rootScope();
    const pool = poolOf(new Server(), { max: 3 });
    await root.run(() => pool.use(() => {}));
    const lease = await root.run(() => pool.acquire());
    expect(of(pool.name)).toEqual([]);
    lease.release();
  });
});
