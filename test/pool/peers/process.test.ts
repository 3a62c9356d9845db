import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useCompiled } from '../../support/compiled.ts';

const folder = useCompiled();

/** Runs a program to its end, for which nothing is open but what it opens itself. */
function run(program: string): Promise<{ readonly code: number; readonly out: string }> {
  const script = `
    import { definePool, Scope, withRoot } from ${JSON.stringify(join(folder, 'index.js'))};
    const trivial = { max: 1, create: () => ({}), destroy: () => {} };
    ${program}`;
  return new Promise((resolve) => {
    const options = { timeout: 8_000, killSignal: 'SIGKILL' } as const;
    execFile(process.execPath, ['--input-type=module', '-e', script], options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, out: `${stdout}${stderr}`.trim() });
    });
  });
}

test('generic-pool timers: nothing of a pool keeps the process alive after its root has closed', async () => {
  const program = `
    const pool = definePool('p', { ...trivial, idleTimeoutMs: 60_000, maxLifetimeMs: 90_000 });
    await withRoot(() => pool.use(() => {}));
    console.log('closed');`;
  expect(await run(program)).toEqual({ code: 0, out: 'closed' });
});

test('generic-pool timers: nor does an idle pool in a root that nobody closes', async () => {
  const program = `
    const pool = definePool('p', { ...trivial, max: 5, min: 3, idleTimeoutMs: 60_000, maxLifetimeMs: 90_000 });
    await Scope.process().run(() => pool.use(() => {}));
    console.log('used');`;
  expect(await run(program)).toEqual({ code: 0, out: 'used' });
});

test('node-pool#147: who waits keeps the process alive until the timeout, and hears of it', async () => {
  const program = `
    const pool = definePool('p', { ...trivial, acquireTimeoutMs: 300 });
    Scope.process().run(async () => {
      await pool.acquire();
      await pool.acquire().catch((error) => console.log(error.code));
      console.log('done');
    });`;
  expect(await run(program)).toEqual({ code: 0, out: 'ERR_POOL_ACQUIRE_TIMEOUT\ndone' });
});

test('node-pool#147: who waits for a create that hangs, or fails, does so, too', async () => {
  const program = `
    const wait = (pool) => pool.acquire().catch((error) => console.log(pool.name, error.code));
    const hanging = definePool('hanging', { create: () => new Promise(() => {}), acquireTimeoutMs: 200 });
    const failing = definePool('failing', { create: () => Promise.reject(new Error('down')), acquireTimeoutMs: 300 });
    await Scope.process().run(() => Promise.all([wait(hanging), wait(failing)]));
    await Scope.process().close();`;
  expect(await run(program)).toEqual({ code: 0, out: 'hanging ERR_POOL_ACQUIRE_TIMEOUT\nfailing ERR_POOL_ACQUIRE_TIMEOUT' });
});

test('generic-pool timers: who was served leaves no timer behind: the process ends at once', async () => {
  const program = `
    const pool = definePool('p', { ...trivial, acquireTimeoutMs: 60_000 });
    await Scope.process().run(async () => {
      const held = await pool.acquire();
      const waiting = pool.acquire();
      held.release();
      (await waiting).release();
    });
    console.log('served');`;
  expect(await run(program)).toEqual({ code: 0, out: 'served' });
});

test('node-pool#147: who waits without a timeout keeps the process alive, too', async () => {
  const program = `
    const pool = definePool('p', { ...trivial, acquireTimeoutMs: Infinity });
    Scope.process().run(async () => {
      const held = await pool.acquire();
      // Only an idle timer gives it back.
      setTimeout(() => held.release(), 300).unref();
      (await pool.acquire()).release();
      console.log('served');
    });`;
  expect(await run(program)).toEqual({ code: 0, out: 'served' });
});

test('generic-pool d03: a server that is down does not keep the process alive, however many connections are to be kept', async () => {
  const program = `
    let isUp = true;
    const create = () => (isUp ? {} : Promise.reject(new Error('down')));
    const pool = definePool('p', { create, destroy: () => {}, min: 3, max: 3 });
    await Scope.process().run(async () => {
      const lease = await pool.acquire();
      isUp = false;
      lease.destroy();
    });
    console.log('used');`;
  expect(await run(program)).toEqual({ code: 0, out: 'used' });
});

test('a deadlock that the end of its root ends leaves no timer behind', async () => {
  const program = `
    const [a, b] = ['a', 'b'].map((name) => definePool(name, { ...trivial, acquireTimeoutMs: 60_000 }));
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const ended = withRoot(async (root) => {
      const users = [a.use(() => Promise.resolve().then(() => b.use(() => {}))), b.use(() => Promise.resolve().then(() => a.use(() => {})))];
      users.push(a.use(() => {}));
      const ends = Promise.allSettled(users);
      while (a.stats().inUse + b.stats().inUse < 2 || a.stats().pending + b.stats().pending < 3) await new Promise((resolve) => setImmediate(resolve));
      const during = timers();
      await Promise.all([a.close({ graceMs: 1 }), b.close({ graceMs: 1 })]);
      for (const { reason } of await ends) if (reason) console.log(reason.code);
      console.log(during > timers());
    });
    await ended;
    console.log(timers());`;
  expect(await run(program)).toEqual({ code: 0, out: 'ERR_POOL_CLOSED\nERR_POOL_CLOSED\nERR_POOL_CLOSED\ntrue\n0' });
});
