import { backoffMs } from '../backoff.ts';
import { now, pause } from '../clock.ts';
import { type Sample, Sampler } from './sampler.ts';

/** What happens while a server is watched. */
export type Happening =
  | { readonly kind: 'sample'; readonly sample: Sample }
  /** There is no connection, or no longer; it is tried again when the next happening is asked for. */
  | { readonly kind: 'lost'; readonly error: unknown };

/** Samples a server every `intervalMs`, from start to start, and connects again as often as it must, until the signal aborts. */
export async function* watch(url: string, intervalMs: number, signal: AbortSignal): AsyncGenerator<Happening, void> {
  let failures = 0;
  while (!signal.aborted) {
    let sampler: Sampler | undefined;
    try {
      // A signal of its own for each connection: who listens on the one that stays would heap up there.
      sampler = await Sampler.open(url, AbortSignal.any([signal]));
      for await (const sample of samplesOf(sampler, intervalMs, signal)) {
        failures = 0;
        yield { kind: 'sample', sample };
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

async function* samplesOf(sampler: Sampler, intervalMs: number, signal: AbortSignal): AsyncGenerator<Sample, void> {
  // A connection that ends is noticed at once, not at the next sample.
  const awake = AbortSignal.any([signal, sampler.gone]);
  awake.addEventListener('abort', () => sampler.close());
  while (!signal.aborted) {
    const begunAt = now();
    yield await sampler.sample();
    await pause(begunAt + intervalMs - now(), awake);
  }
}
