import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { findBinary } from '../../dev/server-process.ts';
import { until } from '../support/until.ts';
import { start } from './child.ts';

const script = findBinary(['script']);
/** The one of util-linux: others take no command. */
export const canScript = script !== undefined && execFileSync(script, ['--version'], { encoding: 'utf8' }).includes('util-linux');

const PATIENCE = { timeoutMs: 20_000 };
/** What takes a terminal over, and what gives it back. */
export const ENTER = '\x1b[?1049h\x1b[?25l';
export const LEAVE = '\x1b[?25h\x1b[?1049l';

interface Conditions {
  /** Of `useCompiled`. */
  readonly folder: string;
  readonly url: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly intervalMs?: number;
}

/** The monitor on a terminal of so many columns and rows, when it has drawn its first picture. */
export async function onTerminal(columns: number, rows: number, conditions: Conditions) {
  const terminal = startOnTerminal(columns, rows, conditions);
  await until(() => linesOf(terminal.screen()).some((text) => text.startsWith('name ')), PATIENCE);
  return { ...terminal, tty: terminal.read('tty'), pid: Number(terminal.read('pid')) };
}

/** The same, when it has begun. */
export function startOnTerminal(columns: number, rows: number, { folder, url, env = {}, intervalMs = 100 }: Conditions) {
  const own = mkdtempSync(join(tmpdir(), 'scoped-pool-terminal-'));
  onTestFinished(() => rmSync(own, { recursive: true, force: true }));
  const state = (name: string) => `stty -a > ${join(own, name)}`;
  const monitor = `${process.execPath} ${join(folder, 'monitor/cli.js')} monitor ${url} --interval ${intervalMs}`;
  // Each of its parts has a file, so that it can be found from here.
  const line = [
    `stty cols ${columns} rows ${rows}; ${state('before')}; tty > ${join(own, 'tty')}`,
    // 147 is what `fg` says of a job that was stopped; it is continued at once.
    `${monitor} & echo $! > ${join(own, 'pid')}`,
    `code=147; while [ $code = 147 ]; do fg > /dev/null; code=$?; echo "left with $code"; done; ${state('after')}; exit $code`,
  ].join('; ');
  const child = start(script ?? '', ['-qefc', `bash -mc '${line}'`, '/dev/null'], { TERM: 'xterm-256color', ...env });
  const read = (name: string) => readFileSync(join(own, name), 'utf8').trim();
  /** The last picture that has come whole: a large one comes in pieces. */
  const screen = () => child.stdout().split('\x1b[J').at(-2)?.split('\x1b[H').at(-1)?.replaceAll('\x1b[K', '') ?? '';
  const press = (keys: string) => child.process.stdin?.write(keys);
  return { child, screen, press, read };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const STYLES = /\x1b\[\d+m/g;
export const linesOf = (screen: string) => screen.replaceAll(STYLES, '').split(/\r+\n/);
