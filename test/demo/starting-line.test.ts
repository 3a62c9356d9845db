import { expect, it } from 'vitest';
import { StartingLine } from '../../demo/starting-line.ts';

it('holds the first jobs until all have come and the line is opened, and nobody after that', async () => {
  const events: string[] = [];
  const line = new StartingLine(2);
  const full = line.full.then(() => events.push('full'));
  const pass = (name: string) => line.pass().then(() => events.push(name));
  const first = pass('first');
  await new Promise(setImmediate);
  expect(events).toEqual([]);
  const second = pass('second');
  await full;
  await new Promise(setImmediate);
  expect(events).toEqual(['full']);
  line.open();
  await Promise.all([first, second]);
  await pass('later');
  expect(events).toEqual(['full', 'first', 'second', 'later']);
});
