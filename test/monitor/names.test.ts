import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';
import { answering, listen } from './fake-server.ts';
import { canScript, ENTER, LEAVE, onTerminal } from './on-terminal.ts';

const folder = useCompiled();
const redis = useRedis({ fresh: true });
const PATIENCE = { timeoutMs: 20_000 };

/** Names that a server lets its clients have, and how they are shown. */
const ADMITTED = {
  ['__proto__']: '__proto__',
  constructor: 'constructor',
  toString: 'toString',
  'sp:': 'sp:',
  'sp:shop:jobs:12': 'sp:shop:jobs',
  '%s%n$(id)`id`': '%s%n$(id)`id`',
  '<script>alert(1)</script>': '<script>alert(1)</script>',
  'redis://ann:hunter2@host:6379/1': 'redis://***@host:6379/1',
  'redis://ann:hun/ter2@host': 'redis://***@host',
  'redis://host?password=hunter2': 'redis://host?password=***',
  ['n'.repeat(100_000)]: 'n'.repeat(200),
};

describe('names that a server admits', () => {
  it('are shown as rows, without their credentials, and long ones shortened', async () => {
    const { host, port } = redis().server;
    for (const name of [...Object.keys(ADMITTED), '']) {
      const socket = connect(port, host);
      onTestFinished(() => void socket.destroy());
      const named = new Promise((resolve) => socket.once('data', resolve));
      socket.write(`*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$${name.length}\r\n${name}\r\n`);
      expect(String(await named)).toBe('+OK\r\n');
    }
    const json = startMonitor(folder, [redis().url, '--once', '--json']);
    expect([await json.ended, json.stderr()]).toEqual([0, '']);
    const names = json.samples()[0]?.names as readonly Readonly<Record<string, unknown>>[];
    for (const name of [...Object.values(ADMITTED), '(no name)'])
      expect(names).toContainEqual(expect.objectContaining({ name, connections: 1 }));
    const plain = startMonitor(folder, [redis().url, '--once']);
    expect(await plain.ended).toBe(0);
    expect(plain.stdout()).toContain('\nredis://***@host:6379/1 ');
    expect(
      Math.max(
        ...plain
          .stdout()
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(120);
    expect(json.stdout() + plain.stdout()).not.toMatch(/hunter2|hun\/ter2/);
  });
});

/** Commands to a terminal: clear it, give it a title, report its state as if it were typed, C1 controls, another direction of writing. */
const ATTACKS = [
  '\x1b[2J\x1b[H',
  '\x1b]0;title\x07',
  '\x1b[6n',
  '\x9b31m',
  'a\rb',
  'a\bb',
  '\u202egnp.exe',
  '日本語',
  '\x00',
  '\x7f',
  '\ud800',
];

/** What is no Redis, but shows clients of such names, one more with each sample. */
function attacking(): Promise<number> {
  let received = 5;
  const list = () =>
    ATTACKS.map((name, index) => `id=${index + received} name=${name} age=0 idle=0 flags=${name} sub=${name} cmd=${name}\n`).join('');
  const info = () => {
    received++;
    return `redis_version:7${ATTACKS[0]}\r\nrun_id:${ATTACKS[1]}\r\ntotal_connections_received:${received}\r\nconnected_clients:${ATTACKS[0]}\r\n`;
  };
  const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
  return listen(
    answering(([name = '', subcommand]) => {
      if (name === 'info') return bulk(info());
      return subcommand === 'LIST' ? bulk(list()) : '+OK\r\n';
    }),
  );
}

const NOT_PLAIN = /[^\x20-\x7e\n]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const OUR_ESCAPES = /\x1b\[(?:[HKJ]|\d+m)/g;
const OUR_SIGNS = /[▁-█…]/g;

describe('names that attack the terminal', () => {
  it.each([
    ['--once', 0, /^$/],
    ['--once --json', 0, /^$/],
    ['--expect-plateau 10 --interval 100', 1, /GROWING .*; most: \?/],
  ])('reach no pipe: %s', { timeout: 60_000 }, async (args, code, said) => {
    const child = startMonitor(folder, [`redis://127.0.0.1:${await attacking()}`, ...args.split(' ')]);
    expect([await child.ended, child.stderr()]).toEqual([code, expect.stringMatching(said)]);
    expect(child.stdout()).toContain('?');
    expect(child.stdout() + child.stderr()).not.toMatch(NOT_PLAIN);
  });

  it.skipIf(!canScript)('reach no terminal', { timeout: 60_000 }, async () => {
    const { child, screen, press, read } = await onTerminal(100, 30, { folder, url: `redis://127.0.0.1:${await attacking()}` });
    await until(() => screen().includes('?[2J?[H'), PATIENCE);
    press('q');
    expect(await child.ended).toBe(0);
    const [before = '', shown = ''] = child.stdout().split(LEAVE)[0]?.split(ENTER) ?? [];
    expect(before.trim()).toBe('');
    const text = shown.replaceAll(OUR_ESCAPES, '').replaceAll(OUR_SIGNS, '').replaceAll(/\r+\n/g, '\n');
    expect(text).not.toMatch(NOT_PLAIN);
    expect(read('after')).toBe(read('before'));
  });
});
