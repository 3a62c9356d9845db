import fc from 'fast-check';
import { SubscriberOverflowError } from 'scoped-pool';
import { describe, expect, it } from 'vitest';
import { Inbox, type Overflow } from '../../src/pubsub/inbox.ts';

/** Number n was published between n and n + 1; a text is itself told of a loss. */
type Item = number | string;

function inboxOf(max: number, overflow: Overflow) {
  const ends: number[] = [];
  const inbox = new Inbox<Item>(
    'news',
    { max, overflow },
    { onDropped: ({ dropped, after, before }) => `${dropped} of ${after}..${before}`, onEnd: () => void ends.push(1) },
  );
  const push = (...items: Item[]) => {
    for (const item of items) {
      const at = Number.parseInt(`${item}`, 10);
      inbox.push({ item, after: at, before: at + 1, count: typeof item === 'number' ? 1 : 0 });
    }
  };
  return { inbox, push, ends };
}

/** What is there, to its end. */
async function rest(inbox: Inbox<Item>): Promise<Item[]> {
  inbox.end();
  const items: Item[] = [];
  for await (const item of inbox) items.push(item);
  return items;
}

const POLICIES: readonly (readonly [string, Overflow, number, readonly Item[], readonly Item[]])[] = [
  ['keeps what fits', 'drop-oldest', 3, [1, 2, 3], [1, 2, 3]],
  ['says in front how many of the oldest it dropped', 'drop-oldest', 2, [1, 2, 3, 4, 5], ['3 of 1..4', 4, 5]],
  ['says behind how many of the newest it dropped', 'drop-newest', 2, [1, 2, 3, 4, 5], [1, 2, '3 of 3..6']],
  ['drops of a loss the place only', 'drop-oldest', 1, ['1 gap', 2, 3], ['1 of 1..3', 3]],
  ['counts no loss as a message', 'drop-newest', 1, [1, '2 gap', '3 gap'], [1, '0 of 2..4']],
];

describe('Inbox', () => {
  it.each(POLICIES)('%s', async (_, overflow, max, pushed, taken) => {
    const { inbox, push } = inboxOf(max, overflow);
    push(...pushed);
    expect(await rest(inbox)).toEqual(taken);
  });

  it('goes on behind what it dropped, when there is room again', async () => {
    const { inbox, push } = inboxOf(2, 'drop-newest');
    push(1, 2, 3, 4);
    expect(await inbox.next()).toEqual({ done: false, value: 1 });
    push(5, 6);
    expect(await rest(inbox)).toEqual([2, '2 of 3..5', 5, '1 of 6..7']);
  });

  it('ends with an error where nothing may be dropped, behind what it has', async () => {
    const { inbox, push, ends } = inboxOf(2, 'fail');
    push(1, 2, 3);
    expect(ends).toHaveLength(1);
    expect([await inbox.next(), await inbox.next()].map(({ value }) => value)).toEqual([1, 2]);
    await expect(inbox.next()).rejects.toThrow(SubscriberOverflowError);
    expect(await inbox.next()).toEqual({ done: true, value: undefined });
  });

  it('gives to those who wait, in their order, and tells them of the end', async () => {
    const { inbox, push } = inboxOf(1, 'fail');
    const waiting = [inbox.next(), inbox.next(), inbox.next()];
    push(1, 2);
    inbox.end();
    expect((await Promise.all(waiting)).map(({ value }) => value)).toEqual([1, 2, undefined]);
  });

  it('forgets everything when the consumer leaves', async () => {
    const { inbox, push, ends } = inboxOf(9, 'fail');
    push(1, 2);
    for await (const item of inbox) if (item === 1) break;
    push(3);
    expect([await inbox.next(), ends.length]).toEqual([{ done: true, value: undefined }, 1]);
  });

  it('loses count of nothing, whoever is faster', async () => {
    const moves = fc.array(fc.boolean(), { maxLength: 200 });
    const property = fc.asyncProperty(
      fc.constantFrom('drop-oldest', 'drop-newest'),
      fc.integer({ min: 1, max: 5 }),
      moves,
      async (overflow, max, pushes) => {
        const { inbox, push } = inboxOf(max, overflow);
        const asked: Promise<IteratorResult<Item, undefined>>[] = [];
        let pushed = 0;
        for (const isPush of pushes) {
          if (isPush) push(pushed++);
          else asked.push(inbox.next());
        }
        const left = await rest(inbox);
        const taken = (await Promise.all(asked)).flatMap(({ done, value }) => (done ? [] : [value]));
        expect([...taken, ...left].flatMap(numbersIn)).toEqual(Array.from({ length: pushed }, (_, number) => number));
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });

  it('keeps no more than it may while nobody takes anything', async () => {
    const { inbox, push } = inboxOf(3, 'drop-oldest');
    for (let number = 0; number < 10_000; number++) push(number);
    expect(await rest(inbox)).toEqual(['9997 of 0..9997', 9_997, 9_998, 9_999]);
  });
});

/** A number, or those that were dropped. */
function numbersIn(item: Item): readonly number[] {
  if (typeof item === 'number') return [item];
  const [, dropped = '', from = ''] = /^(\d+) of (\d+)\.\./.exec(item) ?? [];
  return Array.from({ length: Number(dropped) }, (_, index) => Number(from) + index);
}
