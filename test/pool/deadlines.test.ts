import { describe, expect, it } from 'vitest';
import { type after, now } from '../../src/clock.ts';
import { Alarm } from '../../src/pool/alarm.ts';
import { Deadlines } from '../../src/pool/deadlines.ts';
import { until } from '../support/until.ts';

describe('Alarm', () => {
  function scripted() {
    const timers: { ms: number; fn: () => void }[] = [];
    let rings = 0;
    const start = ((ms: number, fn: () => void) => {
      timers.push({ ms, fn });
      return undefined;
    }) as unknown as typeof after;
    return { timers, alarm: new Alarm(() => rings++, start), rings: () => rings };
  }

  it('starts one timer for the earliest time, none for a later one', () => {
    const { timers, alarm } = scripted();
    alarm.set(now() + 1_000);
    alarm.set(now() + 2_000);
    alarm.set(now() + 500);
    expect(timers.map(({ ms }) => Math.round(ms / 100))).toEqual([10, 5]);
  });

  it('starts none for Infinity', () => {
    const { timers, alarm } = scripted();
    alarm.set(Number.POSITIVE_INFINITY);
    expect(timers).toEqual([]);
  });

  it('can be set again after it rang, and after it was cleared', () => {
    const { timers, alarm, rings } = scripted();
    alarm.set(now() + 10);
    timers[0]?.fn();
    expect(rings()).toBe(1);
    alarm.set(now() + 1_000);
    alarm.clear();
    alarm.set(now() + 5_000);
    expect(timers).toHaveLength(3);
  });
});

describe('Deadlines', () => {
  function waitersOf(...deadlines: number[]) {
    const waiting = new Set(deadlines.map((deadline) => ({ deadline })));
    const expired: number[] = [];
    const watch = new Deadlines(waiting, (waiter) => {
      waiting.delete(waiter);
      expired.push(waiter.deadline);
    });
    return { waiting, expired, watch };
  }

  it('expires each waiter at its own deadline, whatever their order', async () => {
    const start = now();
    const [soon, later, never] = [start + 5, start + 25, start + 60_000];
    const { waiting, expired, watch } = waitersOf(never, later, soon);
    for (const { deadline } of waiting) watch.add(deadline);
    await until(() => expired.length === 2);
    expect(expired).toEqual([soon, later]);
    expect([...waiting]).toEqual([{ deadline: never }]);
    watch.clear();
  });

  it('expires nobody after it was cleared, and works again when somebody new waits', async () => {
    const { waiting, expired, watch } = waitersOf(now() + 5);
    watch.add(now() + 5);
    watch.clear();
    waiting.clear();
    const next = { deadline: now() + 5 };
    waiting.add(next);
    watch.add(next.deadline);
    await until(() => expired.length === 1);
    expect(expired).toEqual([next.deadline]);
  });
});
