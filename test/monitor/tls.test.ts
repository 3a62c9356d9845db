import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../dev/server-process.ts';
import { CERTIFICATE, CERTIFICATE_OF_A_STRANGER, KEY } from '../support/certificate.ts';
import { useCompiled } from '../support/compiled.ts';
import { openRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';

/** Why it cannot be tried here; nothing when it can. */
async function whyNot(): Promise<string | undefined> {
  try {
    const redis = await openRedis({ fresh: true, args: ['--tls-port', '0'] });
    await redis.stop();
    return undefined;
  } catch (error) {
    if (/tls-port[\s\S]*Bad directive/.test(String(error))) return 'this redis-server is built without TLS';
    throw error;
  }
}

const reason = await whyNot();

const folder = useCompiled();

describe.skipIf(reason)('scoped-pool monitor over TLS', () => {
  const own = mkdtempSync(join(tmpdir(), 'scoped-pool-monitor-tls-'));
  const file = (name: string) => join(own, name);
  let redis: TestRedis;
  let port: number;
  beforeAll(async () => {
    for (const [name, text] of Object.entries({ key: KEY, crt: CERTIFICATE, stranger: CERTIFICATE_OF_A_STRANGER }))
      writeFileSync(file(name), text);
    port = await freePort();
    const files = ['--tls-cert-file', file('crt'), '--tls-key-file', file('key'), '--tls-ca-cert-file', file('crt')];
    redis = await openRedis({ fresh: true, args: ['--tls-port', String(port), '--tls-auth-clients', 'no', ...files] });
  });
  afterAll(async () => {
    await redis?.stop();
    rmSync(own, { recursive: true, force: true });
  });
  const trusting = (...args: readonly string[]) => startMonitor(folder, args, { NODE_EXTRA_CA_CERTS: file('crt') });
  const url = () => `rediss://127.0.0.1:${port}`;
  const oneLine = (what: string) => expect.stringMatching(new RegExp(`^scoped-pool monitor: Redis at \\S+:\\d+: ${what}.*\\n$`));

  it('watches a server whose authority is named', async () => {
    const child = trusting(url(), '--json', '--interval', '100');
    await until(() => child.samples().length > 3, { timeoutMs: 20_000 });
    const [client] = await redis.clients('sp:monitor:');
    expect(client).toMatchObject({ laddr: `127.0.0.1:${port}` });
    child.process.kill('SIGTERM');
    expect([await child.ended, child.stderr(), child.samples()[0]?.server]).toEqual([143, '', `127.0.0.1:${port}`]);
  });

  it.each<readonly [string, NodeJS.ProcessEnv]>([
    ['of nobody known', {}],
    ['of another authority', { NODE_EXTRA_CA_CERTS: file('stranger') }],
  ])('does not trust a certificate %s', async (_case, env) => {
    const child = startMonitor(folder, [url()], env);
    expect([await child.ended, child.stdout()]).toEqual([3, '']);
    expect(child.stderr()).toEqual(oneLine('its certificate is not trusted\\. Name that of its authority: NODE_EXTRA_CA_CERTS=file\\.pem'));
  });

  it('does not take a certificate for another host', async () => {
    const child = trusting(url().replace('127.0.0.1', 'localhost'));
    expect([await child.ended, child.stdout()]).toEqual([3, '']);
    expect(child.stderr()).toEqual(oneLine('its certificate is for another host\\. Write the name or the address'));
  });

  it('is told when TLS is spoken on one side only, in bounded time', { timeout: 60_000 }, async () => {
    const begun = performance.now();
    const [plain, secure] = [startMonitor(folder, [`redis://127.0.0.1:${port}`]), trusting(`rediss://127.0.0.1:${redis.server.port}`)];
    expect([await plain.ended, plain.stdout(), plain.stderr()]).toEqual([
      3,
      '',
      oneLine('it hung up\\. .* write rediss:// instead of redis://'),
    ]);
    const waited = 'it does not answer\\. .* write redis:// instead of rediss://';
    expect([await secure.ended, secure.stdout(), secure.stderr()]).toEqual([3, '', oneLine(waited)]);
    // 5 s are what it waits.
    expect(performance.now() - begun).toBeLessThan(30_000);
  });

  it('is told of a server that wants a certificate of ours', async () => {
    await redis.observer.config('SET', 'tls-auth-clients', 'yes');
    onTestFinished(async () => void (await redis.observer.config('SET', 'tls-auth-clients', 'no')));
    const child = trusting(url());
    expect([await child.ended, child.stdout()]).toEqual([3, '']);
    expect(child.stderr()).toEqual(oneLine('it speaks TLS, but refuses ours: it may want to be shown a certificate'));
  });

  it('is told that a full server may be full, of which it says nothing', async () => {
    await redis.observer.config('SET', 'maxclients', '1');
    onTestFinished(async () => void (await redis.observer.config('SET', 'maxclients', '100')));
    const child = trusting(url());
    expect([await child.ended, child.stdout()]).toEqual([3, '']);
    expect(child.stderr()).toEqual(oneLine('it hung up\\. See its log, and whether its maxclients are there'));
  });
});
