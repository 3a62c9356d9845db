import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';
import { startRedis } from '../dev/redis-server.ts';
import { type Arguments, readArguments, USAGE, UsageError } from './arguments.ts';
import { type Outcome, type Progress, run } from './experiment.ts';
import { type Figures, problemsOf } from './judge.ts';
import { Latencies } from './latencies.ts';
import { Meter } from './meter.ts';
import { phasesOn } from './phases.ts';
import { conclusion, exitCodeOf, type Report, toJson } from './report.ts';
import { type Screen, screenOn } from './screen.ts';
import { table } from './table.ts';

const EXIT = { ok: 0, usage: 2, signal: 128 };
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `npm run demo -- [--seconds N] [--json]` */
async function main(args: readonly string[]): Promise<number> {
  const asked = understand(args);
  if (typeof asked === 'number') return asked;
  const screen = screenOn(asked.json ? process.stderr : process.stdout, asked.seconds);
  const interrupted = untilInterrupted(screen);
  const report = await perform(asked, screen, interrupted);
  screen.close();
  if (interrupted.aborted) {
    screen.say('', `stopped by ${interrupted.reason}`);
    return EXIT.signal + constants.signals[interrupted.reason as NodeJS.Signals];
  }
  screen.say('', ...table(report.phases), '', ...conclusion(report));
  if (asked.json) console.log(toJson(report));
  return exitCodeOf(report);
}

/** What was asked for, or the exit code when there is nothing to run. */
function understand(args: readonly string[]): Arguments | number {
  try {
    const asked = readArguments(args);
    if (!asked.help) return asked;
    console.log(USAGE);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`demo: ${error.message}\n\n${USAGE}`);
    return EXIT.usage;
  }
}

/** The first signal ends what runs in order; the second one ends the process. */
function untilInterrupted(screen: Screen): AbortSignal {
  const interruption = new AbortController();
  for (const signal of SIGNALS) process.once(signal, () => interruption.abort(signal));
  // Whoever read our output has gone: `npm run demo | head`.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interruption.abort('SIGPIPE'));
  interruption.signal.addEventListener('abort', () => screen.close());
  process.on('exit', () => screen.close());
  return interruption.signal;
}

async function perform(asked: Arguments, screen: Screen, interrupted: AbortSignal): Promise<Report> {
  const phases: Figures[] = [];
  const problems: string[] = [];
  try {
    for await (const { figures, trouble } of outcomes(asked, screen, interrupted)) {
      screen.end(figures);
      phases.push(figures);
      problems.push(...problemsOf(figures, trouble));
      if (trouble.errors.length > 0) break;
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return { phases, problems };
}

/** Runs one phase after the other on one server. */
async function* outcomes({ seconds }: Arguments, screen: Screen, interrupted: AbortSignal): AsyncGenerator<Outcome> {
  const server = await startRedis();
  const key = `scoped-pool-demo-${randomUUID()}`;
  let meter: Meter | undefined;
  try {
    meter = await Meter.connect(server);
    screen.say(`scoped-pool demo: six ways to use Redis ${await meter.serverVersion()} in BullMQ jobs, ${seconds} s each`);
    const latencies = new Latencies();
    const phases = phasesOn({ url: server.url, key, time: (command) => latencies.time(command) });
    const onProgress = (progress: Progress) => screen.progress(progress);
    for (const [index, phase] of phases.entries()) {
      if (interrupted.aborted) break;
      screen.begin(phase, `${index + 1}/${phases.length}`);
      yield await run(phase, { url: server.url, meter, latencies, seconds, interrupted, onProgress });
    }
  } finally {
    await meter?.close(key);
    await server.stop();
  }
}

process.exitCode = await main(process.argv.slice(2));
// With nothing left open the process has ended before; after a failure something may hang.
setTimeout(() => process.exit(), 2_000).unref();
