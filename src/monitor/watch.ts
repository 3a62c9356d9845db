import { backoffMs } from '../backoff.ts';
import { now, pause } from '../clock.ts';
import { type Inside, insideOf } from './inside.ts';
import { Processes } from './processes.ts';
import { type Sample, Sampler } from './sampler.ts';

/** What happens while a server is watched. */
export type Happening =
  | { readonly kind: 'sample'; readonly sample: Sample; readonly inside: Inside }
  /** There is no connection, or no longer; it is tried again when the next happening is asked for. */
  | { readonly kind: 'lost'; readonly error: unknown };

/** What is watched, and how often. */
export interface Watched {
  readonly url: string;
  /** Addresses of processes that are asked beside those that are found. */
  readonly processes: readonly string[];
  readonly intervalMs: number;
}

/** Samples a server every `intervalMs`, from start to start, and connects again as often as it must, until the signal aborts. */
export async function* watch(watched: Watched, signal: AbortSignal): AsyncGenerator<Happening, void> {
  const processes = new Processes(watched.processes);
  try {
    yield* samplings(watched, processes, signal);
  } finally {
    processes.close();
  }
}

async function* samplings(watched: Watched, processes: Processes, signal: AbortSignal): AsyncGenerator<Happening, void> {
  let failures = 0;
  while (!signal.aborted) {
    let sampler: Sampler | undefined;
    try {
      // A signal of its own for each connection: who listens on the one that stays would heap up there.
      sampler = await Sampler.open(watched.url, AbortSignal.any([signal]));
      for await (const happening of samplesOf(sampler, { ...watched, processes }, signal)) {
        failures = 0;
        yield happening;
      }
    } catch (error) {
      if (signal.aborted) return;
      yield { kind: 'lost', error };
      await pause(backoffMs(++failures, Math.random()), signal);
    } finally {
      sampler?.close();
    }
  }
}

interface Sampled {
  readonly intervalMs: number;
  readonly processes: Processes;
}

async function* samplesOf(sampler: Sampler, { intervalMs, processes }: Sampled, signal: AbortSignal): AsyncGenerator<Happening, void> {
  // A connection that ends is noticed at once, not at the next sample.
  const awake = AbortSignal.any([signal, sampler.gone]);
  awake.addEventListener('abort', () => sampler.close());
  while (!signal.aborted) {
    const begunAt = now();
    const [sample, answers] = await Promise.all([sampler.sample(), processes.ask()]);
    yield { kind: 'sample', sample, inside: insideOf(answers) };
    await pause(begunAt + intervalMs - now(), awake);
  }
}
