import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { get, type Server } from 'node:http';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { expectNoLeaks, withTestRoot } from 'scoped-pool/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { useCluster } from '../redis/cluster/support.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { type Block, blocksOf, GUIDES, read, root } from './markdown.ts';

// Every block of TypeScript is type-checked and run. What a reader knows from the README is put before it, the address of the server
// is replaced by that of a server for tests, and a fixed port by any port; an exit is left out. A block that opens no root runs in
// one, as the text says. What a line is said to print (`// prints 3`) it must print.
const folder = join(root, '.cache/docs');
const pages = GUIDES.map((page) => ({ page, blocks: blocksOf(read(page)).filter(({ language }) => language === 'ts') }));
const KNOWN = {
  redis:
    "import { defineRedisPool } from 'scoped-pool/redis';\nconst redis = defineRedisPool('redis', { url: 'redis://127.0.0.1:6379', max: 10 });\n",
};
const OPENS_A_ROOT = /scopeWorker\(|new Scope\(|withRoot\(|withTestRoot\(/;

const server = useRedis();
const cluster = useCluster({ masters: 1 });
const fileOf = (page: string, { line }: Block) => join(folder, `${basename(page, '.md')}-${line}.ts`);

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const compilerOptions = { noUnusedLocals: false };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'] }));
  for (const { page, blocks } of pages) for (const block of blocks) writeFileSync(fileOf(page, block), moduleOf(block));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await expectNoLeaks();
  await until(async () => (await server().clients('sp:')).length === 0);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function moduleOf({ code }: Block): string {
  const before = Object.entries(KNOWN).filter(
    ([name]) => new RegExp(`\\b${name}\\.|(?:\\(|, )${name}\\b`).test(code) && !code.includes('defineRedisPool('),
  );
  const text = [...before.map(([, lines]) => lines), code, /^const server =/m.test(code) ? 'export { server };\n' : 'export {};\n'].join(
    '',
  );
  const { url, port } = server().server;
  return text
    .replaceAll('redis://127.0.0.1:6379', url)
    .replaceAll('redis://127.0.0.1:7000', cluster().masters[0]?.url ?? '')
    .replaceAll('port: 6379', `port: ${port}`)
    .replaceAll('listen(3000)', 'listen(0)')
    .replaceAll('{ port: 9464 }', '{ preventServerStart: true }')
    .replaceAll('process.exit(1)', '{}');
}

function printedBy({ code }: Block): readonly string[] {
  return [...code.matchAll(/\/\/ prints (.+)$/gm)].map(({ 1: text = '' }) => text);
}

it('the code of all pages is typed', async () => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch(
    (error: unknown) => error as { stdout: string },
  );
  expect(stdout).toBe('');
});

describe.each(pages)('the code of $page', ({ page, blocks }) => {
  it('is there', () => {
    expect(blocks.length).toBeGreaterThan(0);
  });

  it.each(blocks.map((block) => [block.line, block.heading, block] as const))('runs: line %i, %s', async (_line, _heading, block) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await server().observer.rpush('jobs', 'waiting');
    const terminators = new Set(process.listeners('SIGTERM'));
    const run = (): Promise<{ server?: Server }> => import(fileOf(page, block));
    const module = await (OPENS_A_ROOT.test(block.code) ? run() : withTestRoot(run));
    if (module.server) expect(await visit(module.server)).toMatch(/^visit \d+$/);
    for (const terminate of process.listeners('SIGTERM')) if (!terminators.has(terminate)) terminate('SIGTERM');
    const printed = log.mock.calls.map(([first]) => String(first));
    expect(printed).toEqual(expect.arrayContaining([...printedBy(block)]));
  });
});

async function visit(http: Server): Promise<string> {
  const address = await until(() => http.address());
  if (!address || typeof address === 'string') throw new Error('listens on no port');
  return new Promise((resolve, reject) => {
    const asked = get({ port: address.port, headers: { connection: 'close' } }, async (response) => {
      const parts: string[] = [];
      for await (const part of response.setEncoding('utf8')) parts.push(part);
      resolve(parts.join(''));
    });
    asked.on('error', reject);
  });
}
