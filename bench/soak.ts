import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../dev/random.ts';
import { expectNoLeaks } from '../src/testing/index.ts';
import { type BenchOptions, type BenchResult, ratio } from './bench.ts';
import { LIMIT, Plant } from './soak/plant.ts';
import { failureOf, growth, type Sample } from './soak/verdict.ts';

/** Jobs of a full run. */
const JOBS = 100_000;

/** Jobs before the first count of listeners: by then all is open that is ever opened. */
const WARM_UP = 1_000;

const SAMPLE_MS = 250;
const CANCEL_MS = 10;

/** From one restart of the server to the next, in milliseconds. */
const RESTART_MS = [2_000, 5_000] as const;

/** 100,000 jobs, 50 at a time, which fail, leak and are cancelled, while the server is killed and started again: what grows, and what is left? */
export async function bench({ quick, seconds, seed = Date.now() % 1e6 }: BenchOptions): Promise<BenchResult> {
  const limit = seconds ?? (quick ? 10 : undefined);
  console.log(`${limit === undefined ? `${JOBS} jobs` : `--seconds ${limit}`} --seed ${seed}`);
  const plant = await Plant.start(seed, JOBS);
  try {
    return await run(plant, new Random(seed), limit);
  } finally {
    await plant.stop();
  }
}

async function run(plant: Plant, random: Random, seconds: number | undefined): Promise<BenchResult> {
  const unhandled: unknown[] = [];
  process.on('unhandledRejection', (error) => unhandled.push(error));
  await plant.feed(WARM_UP);
  await plant.settled();
  const before = await plant.listeners();
  const begun = performance.now();
  const over = new AbortController();
  const watch = watchHeap(plant, over.signal);
  const faults = causeFaults(plant, random, over.signal);
  await plant.feed(JOBS, seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1_000));
  over.abort();
  const { samples, maxOpen } = await watch;
  const restarts = await faults;
  const ms = performance.now() - begun;
  const notEnded = await plant.settled();
  const listeners = [before, await plant.listeners()] as const;
  const { scopesLeft } = plant;
  const connectionsLeft = await plant.close();
  const leaks = await leaksLeft();
  for (const error of [...plant.unexplained, ...unhandled].slice(0, 3)) console.error(error);
  const zeros = {
    notEnded,
    neverBegun: plant.added - plant.begun,
    unexplained: plant.unexplained.length,
    unhandledRejections: unhandled.length,
    scopesLeft,
    connectionsLeft,
    leaks,
  };
  const { added: jobs, cancelled, leaked } = plant;
  const counts = { jobs, jobsPerSecond: Math.round((jobs * 1_000) / ms), restarts, cancelled, leaked };
  const heapMb = [samples[0], samples[samples.length >> 1], samples.at(-1)].map((sample) => ratio(sample?.heapMb, 1));
  return {
    rows: [{ ...counts, maxOpen, heapMb: heapMb.join(' → ') }],
    figures: { ...counts, ...zeros, maxOpen, limit: LIMIT, listeners, heapMb, ...growth(samples) },
    failure: failureOf({ zeros, maxOpen, limit: LIMIT, listeners, samples }),
  };
}

async function watchHeap(plant: Plant, signal: AbortSignal): Promise<{ readonly samples: Sample[]; readonly maxOpen: number }> {
  const samples: Sample[] = [];
  let maxOpen = 0;
  while (!signal.aborted) {
    for (let looks = SAMPLE_MS / CANCEL_MS; looks > 0; looks--) {
      maxOpen = Math.max(maxOpen, plant.open);
      await sleep(CANCEL_MS);
    }
    globalThis.gc?.();
    samples.push({ jobs: plant.begun, heapMb: process.memoryUsage().heapUsed / 1e6 });
  }
  return { samples, maxOpen };
}

/** Cancels jobs and restarts the server until the signal. Resolves to how often it was restarted. */
async function causeFaults(plant: Plant, random: Random, signal: AbortSignal): Promise<number> {
  let restarts = 0;
  let next = performance.now() + random.between(...RESTART_MS);
  while (!signal.aborted) {
    plant.cancelOne(random);
    await sleep(CANCEL_MS);
    if (performance.now() < next) continue;
    await plant.restart(random);
    restarts++;
    next = performance.now() + random.between(...RESTART_MS);
  }
  return restarts;
}

async function leaksLeft(): Promise<number> {
  try {
    await expectNoLeaks();
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  }
}
