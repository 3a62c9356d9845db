import { describe, expect, it, onTestFinished } from 'vitest';
import { Pulse } from '../../src/pubsub/connection/pulse.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const RULES = { pingMs: 20, pongMs: 200, always: true };

const asking = (ping: () => Promise<void>) => ({ heardAt: 0, isStopped: false, isBelieved: undefined, ping });

describe('Pulse', () => {
  it('reads an answer that came while the event loop was blocked', async () => {
    const told: string[] = [];
    const patient = {
      line: asking(async () => {
        // The answer takes 50 ms, and the loop is blocked before it comes.
        const answered = redis().observer.blpop('nothing', 0.05);
        // Longer than the answer may take, but not by so much that it would be forgiven for that alone.
        // Behind an immediate come the timers, and only then what is to be read.
        setTimeout(() => setImmediate(() => block(RULES.pongMs * 1.3 - 10)), 10);
        await answered;
      }),
      onPing: () => void told.push('answer'),
      onSilence: () => void told.push('silence'),
    };
    const pulse = new Pulse(patient, RULES, 0);
    onTestFinished(() => pulse.stop());
    await until(() => told.length === 4);
    pulse.stop();
    expect(told).toEqual(['answer', 'answer', 'answer', 'answer']);
  });

  it('knows when it was last sure, and that is when it asked', async () => {
    let answer = () => {};
    const asked: number[] = [];
    const patient = {
      line: asking(
        () =>
          new Promise<void>((resolve) => {
            asked.push(Date.now());
            answer = resolve;
          }),
      ),
      onPing: () => {},
      onSilence: () => {},
    };
    const pulse = new Pulse(patient, RULES, 7);
    onTestFinished(() => pulse.stop());
    await until(() => asked.length === 1);
    expect(pulse.provenAt).toBe(7);
    block(20);
    answer();
    await until(() => pulse.provenAt > 7);
    expect(pulse.provenAt).toBeLessThanOrEqual(asked[0] ?? 0);
    expect(pulse.provenAt).toBeGreaterThan(Date.now() - 1_000);
  });
});

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}
