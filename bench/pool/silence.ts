import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { observe } from '../../src/integrations/otel/index.ts';
import { interleaveRounds, type Rounds, type Subject } from '../bench.ts';
import type { Looped } from './loop.ts';

/** How many copies of each kind: of two with the same code one may come out faster by more than what is looked for. */
const COPIES = 8;
/** What the channels may cost while nobody listens. */
const MOST = 1.02;

/** What the events of the library cost per acquire and release, as ratios of times. */
export interface Silence {
  /** Nobody listens, to a library without channels. */
  readonly silent: number;
  /** The same code to itself: the slower half of its copies to the faster. */
  readonly same: number;
  /** `observe()` is on, with the SDK of OpenTelemetry, to nobody listens. */
  readonly observed: number;
}

/** Measures copies of the compiled library in one process: as it is, and without the questions whether somebody listens. */
export async function silence(rounds: Rounds): Promise<Silence> {
  const build = join(import.meta.dirname, '../..');
  const folder = mkdtempSync(join(build, 'silence-'));
  const copies: Looped[] = [];
  try {
    for (let at = 0; at < 2 * COPIES; at++) copies.push(await copied(build, join(folder, String(at)), at % 2 === 0));
    const times = await interleaveRounds(
      copies.map(({ loop }) => loop),
      rounds,
    );
    const [plain, bare] = [times.filter((_, at) => at % 2 === 0), times.filter((_, at) => at % 2 === 1)];
    const [off = [], on = []] = await interleaveRounds(withAndWithout(copies[0]?.loop ?? (async () => {})), rounds);
    return { silent: compare(plain, bare), same: Math.max(halves(plain), halves(bare)), observed: compare([on], [off]) };
  } finally {
    for (const copy of copies) await copy.close();
    rmSync(folder, { recursive: true });
  }
}

/** What is wrong with it, if it costs more than it may, and more than the same code differs from itself. */
export function tooLoud({ silent, same }: Silence): string | undefined {
  const most = MOST + (same - 1);
  return silent <= most ? undefined : `channels that nobody listens to cost ${silent.toFixed(3)}; at most ${most.toFixed(3)}`;
}

async function copied(build: string, folder: string, isPlain: boolean): Promise<Looped> {
  cpSync(join(build, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(build, 'bench/pool/loop.js'), join(folder, 'bench/pool/loop.js'));
  if (!isPlain && silenceIn(join(folder, 'src')) < 4) throw new Error('the library asks elsewhere whether somebody listens');
  const { looped } = (await import(join(folder, 'bench/pool/loop.js'))) as typeof import('./loop.ts');
  return looped(`silence-${folder}`);
}

/** Takes the questions whether somebody listens out of the code. @returns how many there were. */
function silenceIn(folder: string): number {
  let count = 0;
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))) {
    const code = readFileSync(join(folder, file), 'utf8');
    const silent = code.replaceAll(/[\w.]+\.hasSubscribers\b/g, () => {
      count++;
      return 'false';
    });
    writeFileSync(join(folder, file), silent);
  }
  return count;
}

function withAndWithout(loop: Subject): readonly Subject[] {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const meterProvider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 30 })] });
  const observed: Subject = async (loops) => {
    const stop = observe({ meterProvider });
    await loop(loops);
    stop();
  };
  return [loop, observed];
}

/** The slower half to the faster. */
function halves(times: readonly (readonly number[])[]): number {
  const sorted = [...times].sort((a, b) => Math.min(...a) - Math.min(...b));
  return compare(sorted.slice(COPIES / 2), sorted.slice(0, COPIES / 2));
}

/** What the first took to what the others took, each in its best round: whatever else the machine does only adds. */
function compare(these: readonly (readonly number[])[], those: readonly (readonly number[])[]): number {
  const best = (all: readonly (readonly number[])[]) => all.reduce((sum, times) => sum + Math.min(...times), 0) / all.length;
  return best(these) / best(those);
}
