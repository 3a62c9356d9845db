import { describe, expect, it } from 'vitest';
import { USAGE } from '../../src/monitor/arguments.ts';
import { observe } from '../../src/monitor/history.ts';
import { jsonLine } from '../../src/monitor/json-line.ts';
import { picture } from '../../src/monitor/picture.ts';
import { leaking, nameFacts, sampleAt } from '../monitor/support.ts';
import { blocksOf, read, tablesOf } from './markdown.ts';

const page = read('docs/monitor.md');
const firstCells = (head: string) =>
  tablesOf(page)
    .find((table) => table.head[0] === head)
    ?.rows.map(([cell = '']) => cell);

describe('docs/monitor.md', () => {
  it('shows the picture that is drawn', () => {
    const setting = { address: '127.0.0.1:6379', columns: 103, rows: 24, order: 'growth', isPaused: false, note: '' } as const;
    const lines = picture(leaking(), setting).map(({ text }) => text);
    const [shown] = blocksOf(page).filter(({ language }) => language === '');
    // Where a note would stand, the picture has an empty line.
    expect(shown?.code.trimEnd().split('\n')).toEqual(lines);
  });

  it('names the arguments that the usage names', () => {
    const named = [...USAGE.matchAll(/^ {2}(\S+(?: [A-Z]+)?) {2,}/gm)].map(([, argument]) => argument);
    expect(firstCells('argument')).toEqual(named);
  });

  it('names the members of the JSON', () => {
    const history = observe(undefined, sampleAt(0, { names: [nameFacts({})] }), 10_000);
    const object = JSON.parse(jsonLine(history, 'a:1')) as Record<string, unknown>;
    expect(firstCells('member')).toEqual(Object.keys(object));
    const row =
      tablesOf(page)
        .find((table) => table.head[0] === 'member')
        ?.rows.at(-1)?.[1] ?? '';
    for (const fact of Object.keys(nameFacts({}))) expect(row).toContain(fact);
  });

  it('names the columns of the table, and the exit codes', () => {
    const history = observe(undefined, sampleAt(0, {}), 10_000);
    const head = picture(history, { address: '', columns: 110, rows: 9, order: 'growth', isPaused: false, note: '' }).at(-1)?.text ?? '';
    const columns = firstCells('column')?.flatMap((cell) => cell.split(', '));
    expect(columns).toEqual(head.split(/ {2,}/));
    expect(firstCells('exit code')).toEqual(['0', '1', '2', '3', '128 + signal']);
  });
});
