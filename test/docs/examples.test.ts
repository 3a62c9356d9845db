import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Scope } from 'scoped-pool';
import { expectNoLeaks } from 'scoped-pool/testing';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { compileExample, useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const folder = join(import.meta.dirname, '../../examples');
const redis = useRedis();
const compiled = useCompiled();

// Examples read it when they are loaded.
beforeAll(() => {
  process.env.REDIS_URL = redis().url;
});

afterEach(async () => {
  await expectNoLeaks();
  await until(async () => (await redis().clients('sp:')).length === 0);
});

/** Fetches a path; `gone()` hangs up. */
function request(port: number, path: string) {
  const asked = get({ port, path, host: '127.0.0.1', headers: { connection: 'close' } });
  const text = once(asked, 'response').then(async ([response]) => {
    const parts: string[] = [];
    for await (const part of response.setEncoding('utf8')) parts.push(part);
    return parts.join('');
  });
  return { text, gone: () => asked.destroy() };
}

describe('examples', () => {
  it('are each run below, or in a file of their own', () => {
    const files = readdirSync(folder).sort();
    const own = ['fan-out', 'http-server', 'http.ts', 'leak.ts', 'postgres.ts'];
    const names = [
      'limits',
      'log-to-queue',
      'nestjs',
      'produce-in-job',
      'prometheus',
      'request-handler',
      'resources',
      'sandbox',
      'sandbox-processor',
      'several-workers',
    ];
    const below = [...names, 'shutdown', 'testing', 'transaction', 'worker'].map((name) => `${name}.ts`);
    expect(files).toEqual([...own, ...below].sort());
  });

  it.each(readdirSync(folder, { encoding: 'utf8', recursive: true }).filter((file) => file.endsWith('.ts')))(
    '%s has fewer than 60 lines',
    (file) => {
      expect(readFileSync(join(folder, file), 'utf8').split('\n').length).toBeLessThan(60);
    },
  );

  it('worker.ts: 50 jobs share at most 5 connections', async () => {
    const { main } = await import('../../examples/worker.ts');
    const stats = await main(50);
    expect(stats).toMatchObject({ max: 5, acquired: 100, inUse: 0, leaked: 0 });
    expect(stats.created).toBeLessThanOrEqual(5);
    expect(await redis().observer.mget('example:sent', 'example:quota')).toEqual(['50', '-50']);
  });

  it('log-to-queue.ts: each entry becomes one job, though the program stops between two checkpoints', async () => {
    const { main } = await import('../../examples/log-to-queue.ts');
    const { read, jobs } = await main(45);
    expect(jobs).toBe(45);
    expect(read).toBeGreaterThan(45);
  });

  it('shutdown.ts: the job ends before the worker does', async () => {
    const { main } = await import('../../examples/shutdown.ts');
    const events: string[] = [];
    const report = await main(false, (event) => {
      events.push(event);
      if (event === 'job begun') process.emit('SIGTERM');
    });
    expect(report).toEqual({ clean: true, pending: [], forcedLeases: 0 });
    expect(events).toEqual(['job begun', 'job completed']);
    expect(await redis().observer.get('example:pages')).toBe('20');
  });

  it('limits.ts: each worker opens as many connections as its limit says', async () => {
    const { main } = await import('../../examples/limits.ts');
    expect(await main()).toEqual([2, 7]);
  });

  it('produce-in-job.ts: the jobs open no connection', async () => {
    const before = await redis().connectionsReceived();
    const { main } = await import('../../examples/produce-in-job.ts');
    expect(await main(20)).toBe(60);
    // Two queues have one each, the worker two.
    expect((await redis().connectionsReceived()) - before).toBe(4);
  });

  it('several-workers.ts: each worker opens as many connections as its number, its function or the pool says', async () => {
    const { main } = await import('../../examples/several-workers.ts');
    expect(await main()).toEqual({ 'example-mails': 3, 'example-reports': 5, 'example-images': 10 });
  });

  it('sandbox.ts: each child process opens as many connections as its limit says, and leaves none', async () => {
    const { main } = await import('../../examples/sandbox.ts');
    const opened = await main(30, pathToFileURL(compileExample(compiled, 'sandbox-processor.ts')));
    expect(opened.size).toBeGreaterThan(0);
    expect(opened.size).toBeLessThanOrEqual(3);
    expect(new Set(opened.values())).toEqual(new Set([2]));
    expect(await redis().observer.get('example:thumbnails')).toBe('600');
    await until(async () => (await redis().clients()).length === 0);
  });

  it('nestjs.ts: each queue opens as many connections as its limit says, and app.close() leaves nobody connected', async () => {
    const { main } = await import('../../examples/nestjs.ts');
    expect(await main()).toEqual([5, 2]);
    await until(async () => (await redis().clients()).length === 0);
  });

  it('transaction.ts: no transfer is lost', async () => {
    const { main } = await import('../../examples/transaction.ts');
    expect(await main()).toEqual([30, 70]);
  });

  it('testing.ts: needs no server', async () => {
    const before = await redis().connectionsReceived();
    const { main } = await import('../../examples/testing.ts');
    await main();
    expect(await redis().connectionsReceived()).toBe(before);
  });

  it('request-handler.ts: answers, and a client that goes away leaves nothing', async () => {
    const { main } = await import('../../examples/request-handler.ts');
    const { port, scope, close } = await main();
    expect(await request(port, '/').text).toBe('visit 1\n');
    expect(await request(port, '/').text).toBe('visit 2\n');
    const aborted = request(port, '/news');
    aborted.text.catch(() => {});
    await until(() => heldIn(scope) === 1);
    aborted.gone();
    await until(() => scope.tree().children.every(({ name }) => name === 'http server'));
    await until(async () => (await redis().clients()).every(({ cmd }) => cmd !== 'blpop'));
    const waiting = request(port, '/news');
    await until(() => heldIn(scope) === 1);
    await redis().observer.rpush('example:news', 'it works');
    expect(await waiting.text).toBe('it works\n');
    await close();
  });

  it('prometheus.ts: shows what is open and what has happened', async () => {
    const { main } = await import('../../examples/prometheus.ts');
    const { http, close } = main();
    await once(http, 'listening');
    const { port } = http.address() as AddressInfo;
    expect(await request(port, '/').text).toBe('visit 1\n');
    expect(await request(port, '/').text).toBe('visit 2\n');
    const said = (await request(port, '/metrics').text).split('\n');
    const lines = ['connections{pool="redis",state="idle"} 1', 'connections{pool="redis",state="used"} 0'];
    const limits = ['connections_limit{pool="redis"} 5', 'pending_requests{pool="redis"} 0', 'connections_created_total{pool="redis"} 1'];
    // The second waits, too: for a look at the connection that was idle.
    const times = ['create', 'wait', 'use'].map((verb) => `connection_${verb}_seconds_count{pool="redis"} ${verb === 'create' ? 1 : 2}`);
    expect(said).toEqual(expect.arrayContaining([...lines, ...limits, ...times].map((line) => `scoped_pool_${line}`)));
    expect(said).toContain('# TYPE scoped_pool_acquire_timeouts_total counter');
    await close();
  });

  it('resources.ts: stops in reverse order', async () => {
    const { main } = await import('../../examples/resources.ts');
    const stop = new AbortController();
    const events: string[] = [];
    await main(stop.signal, (event) => {
      events.push(event);
      if (event === 'running') stop.abort();
    });
    expect(events).toEqual([
      'running',
      'server stopped',
      expect.stringMatching(/^worker stopped after \d+ visits$/),
      'queue stopped',
      'all connections closed',
    ]);
  });
});

/** How many leases there are in the requests of a server. */
function heldIn(server: Scope): number {
  return server.tree().children.flatMap(({ children }) => children.filter(({ kind }) => kind === 'lease')).length;
}
