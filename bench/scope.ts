import { enterFrame, type Frame } from '../src/context.ts';
import { type Scope, withRoot, withScope } from '../src/scope/index.ts';
import { type BenchOptions, type BenchResult, interleave, ratio } from './bench.ts';

/** How much more an unused child scope may cost than entering an async context. */
const LIMIT = 16;

const noop = async () => {};

/** What it costs to open, enter and close an unused child scope, against entering an async context alone. */
export async function bench({ quick }: BenchOptions): Promise<BenchResult> {
  const rounds = quick ? 15 : 41;
  return withRoot(async (scope) => {
    const [alone = Number.NaN, child = Number.NaN] = await interleave([entering(scope), opening], { rounds, loops: 5_000 });
    const times = ratio(child, alone);
    return {
      rows: [
        { subject: 'als.run and await', medianNs: Math.round(alone), ratio: 1 },
        { subject: 'withScope', medianNs: Math.round(child), ratio: times },
      ],
      figures: { ratio: times },
      failure: times > LIMIT ? `withScope costs ${times} times als.run with an await, more than ${LIMIT}` : undefined,
    };
  });
}

function entering(scope: Scope): (loops: number) => Promise<void> {
  const frame: Frame = { scope, work: undefined, held: undefined };
  return async (loops) => {
    for (let loop = 0; loop < loops; loop++) await enterFrame(frame, noop);
  };
}

async function opening(loops: number): Promise<void> {
  for (let loop = 0; loop < loops; loop++) await withScope(noop);
}
