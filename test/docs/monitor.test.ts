import { describe, expect, it } from 'vitest';
import { USAGE } from '../../src/monitor/arguments.ts';
import { observe } from '../../src/monitor/history.ts';
import { jsonLine } from '../../src/monitor/json-line.ts';
import { picture, type Setting } from '../../src/monitor/picture.ts';
import { INSIDE, leaking, nameFacts, sampleAt } from '../monitor/support.ts';
import { blocksOf, read, tablesOf } from './markdown.ts';

const page = read('docs/monitor.md');
const firstCells = (head: string) =>
  tablesOf(page)
    .find((table) => table.head[0] === head)
    ?.rows.map(([cell = '']) => cell);

const SETTING: Setting = {
  ...{ address: '127.0.0.1:6379', columns: 103, rows: 24, order: 'growth' },
  ...{ isPaused: false, isTraced: false, note: '' },
};

describe('docs/monitor.md', () => {
  it('shows the picture that is drawn', () => {
    const lines = picture(leaking(), SETTING).map(({ text }) => text);
    const [shown] = blocksOf(page).filter(({ language }) => language === '');
    expect(shown?.code.trimEnd().split('\n')).toEqual(lines);
  });

  it('shows the tables of what processes say', () => {
    const lines = picture(leaking(INSIDE), { ...SETTING, rows: 40 }).map(({ text }) => text);
    const [, shown] = blocksOf(page).filter(({ language }) => language === '');
    expect(shown?.code.trimEnd().split('\n')).toEqual(lines.slice(lines.findIndex((line) => line.startsWith('held by'))));
    const headOf = (start: string) => lines.find((line) => line.startsWith(start))?.split(/ {2,}/);
    const columns = (head: string) => firstCells(head)?.flatMap((cell) => cell.split(', '));
    expect(columns('of a line of code')).toEqual(headOf('held by'));
    expect(columns('of a pool')).toEqual(headOf('pool '));
  });

  it('shows the table of lines that open connections without a pool', () => {
    const openings = [
      { site: 'file:///app/src/job.js:7:5', stack: [], server: '127.0.0.1:6379', opened: 60, grown: 30, lastMs: 400, pid: 4711 },
    ];
    const lines = picture(leaking({ ...INSIDE, openings }), { ...SETTING, rows: 40 }).map(({ text }) => text);
    const first = lines.findIndex((line) => line.startsWith('opened without'));
    const [, , shown] = blocksOf(page).filter(({ language }) => language === '');
    expect(shown?.code.trimEnd().split('\n')).toEqual(lines.slice(first, first + 2));
    expect(firstCells('of a line that opens')).toEqual(lines[first]?.split(/ {2,}/));
  });

  it('names the arguments that the usage names', () => {
    const named = [...USAGE.matchAll(/^ {2}(\S+(?: [A-Z]+)?) {2,}/gm)].map(([, argument]) => argument);
    expect(firstCells('argument')).toEqual(named);
  });

  it('names the members of the JSON', () => {
    const openings = [{ site: '/a.js:1:1', stack: [], server: 'a:1', opened: 1, grown: 1, lastMs: 5, pid: 7 }];
    const inside = { ...INSIDE, openings, failures: [{ address: '/a.sock', reason: 'it is late' }] };
    const history = observe(undefined, sampleAt(0, { names: [nameFacts({})] }), 10_000, inside);
    const object = JSON.parse(jsonLine(history, 'a:1')) as Record<string, unknown>;
    expect(firstCells('member')).toEqual(Object.keys(object));
    const meanings = tablesOf(page).find((table) => table.head[0] === 'member')?.rows ?? [];
    for (const [member = '', meaning] of meanings) {
      const [row = {}]: readonly object[] = [object[member] as object].flat();
      for (const fact of Object.keys(Array.isArray(object[member]) ? row : {})) expect(meaning).toContain(fact);
    }
  });

  it('names the columns of the table, and the exit codes', () => {
    const history = observe(undefined, sampleAt(0, {}), 10_000);
    const head =
      picture(history, { address: '', columns: 110, rows: 9, order: 'growth', isPaused: false, isTraced: false, note: '' }).at(-1)?.text ??
      '';
    const columns = firstCells('column')?.flatMap((cell) => cell.split(', '));
    expect(columns).toEqual(head.split(/ {2,}/));
    expect(firstCells('exit code')).toEqual(['0', '1', '2', '3', '128 + signal']);
  });
});
