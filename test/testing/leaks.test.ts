import { definePool, type Lease, Scope, withRoot } from 'scoped-pool';
import { expectNoLeaks, type NoLeaksOptions } from 'scoped-pool/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { LeaksFoundError } from '../../src/errors.ts';
import { gate } from '../scope/support.ts';

const one = definePool('leaks', { max: 1, create: () => ({}) });
const roots: Scope[] = [];
const AT_ONCE: NoLeaksOptions = { graceMs: 0 };

function openRoot(name: string): Scope {
  const root = new Scope({ parent: null, name, onSuppressed: () => {} });
  roots.push(root);
  return root;
}

async function leaks(options: NoLeaksOptions = AT_ONCE): Promise<readonly string[]> {
  return expectNoLeaks(options).then(
    () => [],
    (error: unknown) => {
      if (error instanceof LeaksFoundError) return error.leaks;
      throw error;
    },
  );
}

afterEach(async () => {
  for (const root of roots.splice(0)) await root.close({ graceMs: 0, cancelMs: 0 });
});

describe('expectNoLeaks', () => {
  it('passes when nothing is open', async () => {
    await withRoot(() => one.use(() => {}));
    await expectNoLeaks(AT_ONCE);
  });

  it('finds a root scope, by name', async () => {
    openRoot('forgotten');
    expect(await leaks()).toEqual([expect.stringMatching(/^root scope "forgotten", open, since \d+ ms$/)]);
    await expect(expectNoLeaks(AT_ONCE)).rejects.toMatchObject({
      code: 'ERR_LEAKS_FOUND',
      message: expect.stringMatching(/still open: 1\. Await .*\n {4}root scope "forgotten"/),
    });
  });

  it('finds a lease and an acquire that waits, by scope, age and line, and the connection', async () => {
    const root = openRoot('worker');
    const child = new Scope({ parent: root, name: 'job:7' });
    const lease = await child.run(() => one.acquire());
    const waiting = child.run(() => one.acquireShared());
    waiting.catch(() => {});
    const line = String.raw`since .*leaks\.test\.ts:\d+:\d+$`;
    expect(await leaks()).toEqual([
      expect.stringMatching(/^root scope "worker"/),
      expect.stringMatching(new RegExp(String.raw`^lease of pool "leaks" in scope "worker" > "job:7", exclusive, for \d+ ms, ${line}`)),
      expect.stringMatching(new RegExp(`^acquire that waits for pool "leaks" in scope "worker" > "job:7", shared, .*${line}`)),
      'pool "leaks" of root scope "worker": connections open: 1',
    ]);
    lease.release();
    (await waiting).release();
  });

  it('names for each lease the line that acquired it', async () => {
    const many = definePool('leaks-many', { create: () => ({}) });
    const root = openRoot('many');
    const acquired: Lease<object>[] = [];
    await root.run(async () => {
      acquired.push(await many.acquire());
      acquired.push(await many.acquire());
    });
    const lines = (await leaks()).flatMap((leak) => /leaks\.test\.ts:(\d+)/.exec(leak)?.[1] ?? []).map(Number);
    expect(lines).toEqual([expect.any(Number), Number(lines[0]) + 1]);
    for (const lease of acquired) lease.release();
  });

  it('finds what is leased in an isolated scope', async () => {
    const isolated = new Scope({ parent: openRoot('app'), isolate: true, name: 'plugin' });
    const lease = await isolated.run(() => one.acquire());
    expect(await leaks()).toEqual([
      expect.stringMatching(/^root scope "app"/),
      expect.stringMatching(/^lease of pool "leaks" in scope "app" > "plugin", exclusive, for \d+ ms, since .*leaks\.test\.ts:\d+:\d+$/),
      'pool "leaks" of root scope "plugin": connections open: 1',
    ]);
    lease.release();
    await isolated.close();
  });

  it('finds connections that idle in a root', async () => {
    await openRoot('idle').run(() => one.use(() => {}));
    expect(await leaks()).toEqual([expect.stringContaining('"idle"'), 'pool "leaks" of root scope "idle": connections open: 1']);
  });

  it('allows roots by name, with all that is in them', async () => {
    const lease = await openRoot('server').run(() => one.acquire());
    openRoot('other');
    expect(await leaks({ ...AT_ONCE, allow: ['server'] })).toEqual([expect.stringContaining('"other"')]);
    lease.release();
  });

  it('allows the root it is called in, but nothing leased there', async () => {
    const root = openRoot('mine');
    await root.run(async () => {
      await one.use(() => {});
      expect(await leaks()).toEqual([]);
      const lease = await one.acquire();
      expect(await leaks()).toEqual([expect.stringContaining('lease of pool "leaks" in scope "mine"')]);
      lease.release();
    });
  });

  it('waits for what is ending already', async () => {
    const root = openRoot('closing');
    const task = gate();
    root.spawn(() => task.passed);
    const closed = root.close();
    expect(await leaks()).toEqual([expect.stringContaining('root scope "closing", draining')]);
    const passed = expectNoLeaks({ graceMs: 10_000 });
    task.open();
    await Promise.all([closed, passed]);
  });

  it('refuses options it does not know', async () => {
    await expect(expectNoLeaks({ allow: 'server' } as object)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
    await expect(expectNoLeaks({ grace: 1 } as object)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  });
});
