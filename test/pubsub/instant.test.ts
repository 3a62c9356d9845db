import { expect, it, onTestFinished } from 'vitest';

const time = Date.now;
let aheadMs = 0;

it('an instant is told by the clock as it is set now, and never later than it was', async () => {
  onTestFinished(() => {
    Date.now = time;
  });
  // Before the library takes hold of it.
  Date.now = () => time() + aheadMs;
  const { Instant } = await import('../../src/pubsub/connection/instant.ts');
  const instant = new Instant();
  const at = time();
  expect(Math.abs(instant.wallAt - at)).toBeLessThan(100);
  aheadMs = -3_600_000;
  expect(instant.wallAt).toBeLessThanOrEqual(at - 3_600_000);
  expect(instant.wallAt).toBeGreaterThan(at - 3_600_000 - 1_000);
  aheadMs = 3_600_000;
  expect(instant.wallAt).toBeLessThanOrEqual(at);
});
