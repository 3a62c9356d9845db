/**
 * What a scope costs: opening, entering and closing an unused child scope, against entering an async context alone.
 *
 *     node bench/scope.js [--json]
 *
 * Exits with 1 when it costs more than 16 times as much.
 */
import { enterFrame, type Frame } from '../src/context.ts';
import { withRoot, withScope } from '../src/scope/index.ts';

const LIMIT = 16;
const ROUNDS = 41;
const LOOPS = 5_000;

const noop = async () => {};

async function enteringAlone(frame: Frame): Promise<number> {
  const begun = performance.now();
  for (let loop = 0; loop < LOOPS; loop++) await enterFrame(frame, noop);
  return performance.now() - begun;
}

async function openingChildren(): Promise<number> {
  const begun = performance.now();
  for (let loop = 0; loop < LOOPS; loop++) await withScope(noop);
  return performance.now() - begun;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const { alone, children } = await withRoot(async (scope) => {
  const frame: Frame = { scope, work: undefined, held: undefined };
  const times: { alone: number[]; children: number[] } = { alone: [], children: [] };
  // One round of each in turn, so that what else the machine does falls on both; the first rounds warm up.
  for (let round = 0; round < ROUNDS + 10; round++) {
    const pair = [await enteringAlone(frame), await openingChildren()] as const;
    if (round < 10) continue;
    times.alone.push(pair[0]);
    times.children.push(pair[1]);
  }
  return { alone: median(times.alone), children: median(times.children) };
});

const nanoseconds = (ms: number) => Math.round((ms * 1e6) / LOOPS);
const ratio = Math.round((children / alone) * 10) / 10;
console.log(`als.run and await: ${nanoseconds(alone)} ns; withScope: ${nanoseconds(children)} ns; ratio ${ratio} (at most ${LIMIT})`);
if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'scope', node: process.versions.node, ratio }));
process.exitCode = ratio > LIMIT ? 1 : 0;
