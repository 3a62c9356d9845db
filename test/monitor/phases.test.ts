import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../demo/experiment.ts';
import { Latencies } from '../../demo/latencies.ts';
import { Meter } from '../../demo/meter.ts';
import { phasesOn } from '../../demo/phases.ts';
import { useCompiled } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startMonitor } from './child.ts';

/** Long enough that the start of a phase, and what was before it, is no longer looked at. */
const SECONDS = 9;
/** After each job, so that the rest of the machine gets something done, too. */
const PAUSE_MS = 20;

const folder = useCompiled();
const redis = useRedis({ fresh: true });
let meter: Meter;
beforeAll(async () => {
  meter = await Meter.connect(redis().server);
});
afterAll(() => meter.close('monitored'));

describe('the verdict at the end of each phase of the demo', () => {
  const latencies = new Latencies();
  const phases = () => phasesOn({ url: redis().url, key: `monitored-${randomUUID()}`, time: (command) => latencies.time(command) });

  it.each([
    ['client per job', 'growing'],
    ['pool per job', 'growing'],
    ['wrapped, 1 command', 'plateau'],
    ['wrapped, exclusive', 'plateau'],
    ['wrapped, shared', 'plateau'],
    ['wrapped, 5 workers', 'plateau'],
  ])('%s: %s', { timeout: 60_000 }, async (name, verdict) => {
    const found = phases().find((one) => one.name === name);
    if (!found) throw new Error(`the demo has no phase "${name}"`);
    const phase = { ...found, job: () => found.job().finally(() => sleep(PAUSE_MS)) };
    const child = startMonitor(folder, [redis().url, '--json', '--interval', '250']);
    await until(() => child.samples().length > 0, { timeoutMs: 20_000 });
    let seen: unknown;
    const onProgress = ({ elapsedMs }: { readonly elapsedMs: number }) => {
      // When the phase ends, its workers close, and what comes then is not looked at.
      if (elapsedMs < SECONDS * 1_000) seen = child.samples().at(-1)?.verdict;
    };
    const { signal: interrupted } = new AbortController();
    const { trouble } = await run(phase, { url: redis().url, meter, latencies, seconds: SECONDS, interrupted, onProgress });
    expect([seen, trouble]).toEqual([verdict, { errors: [], left: 0 }]);
  });
});
