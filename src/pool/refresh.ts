import { atRoot } from '../context.ts';
import type { Engine } from './engine.ts';
import type { Slot } from './slot.ts';

/**
 * Replaces every connection that is open now. Whatever is held goes when its holder leaves; idle ones go one at a time,
 * each after a new one is open where `max` leaves room for it, else before, so that the pool is never without, and
 * never above `max`.
 *
 * @throws what the factory threw when one could not be replaced; the rest is kept then.
 */
export async function refresh<T>(engine: Engine<T>): Promise<void> {
  const { scheduler, supply } = engine;
  const old = [...scheduler.slots];
  const idle = old.filter(({ holders }) => holders === 0);
  for (const slot of old) if (slot.holders > 0) scheduler.retire(slot, 'refreshed');
  // One refresh after the other, or together they would take more than one idle connection at a time.
  const before = engine.refreshing;
  // At the root: a promise keeps the context it was made in, and this one is kept.
  engine.refreshing = atRoot(() => replaceAll(engine, idle, before));
  await engine.refreshing;
  await supply.until(() => old.every(({ state }) => state === 'closed'));
}

async function replaceAll<T>(engine: Engine<T>, idle: readonly Slot<T>[], before: Promise<void> | undefined): Promise<void> {
  await before?.catch(() => {});
  for (const slot of idle) {
    // What closes with the pool, or by itself, is not replaced.
    const isGoing = engine.isClosed || slot.state === 'closing' || slot.state === 'closed';
    if (slot.holders > 0) engine.scheduler.retire(slot, 'refreshed');
    else if (!isGoing) await replace(engine, slot);
  }
}

async function replace<T>(engine: Engine<T>, slot: Slot<T>): Promise<void> {
  const { scheduler, supply } = engine;
  const isFull = scheduler.open >= scheduler.max;
  if (isFull) stopIfDown(engine);
  else await growByOne(engine);
  scheduler.retire(slot, 'refreshed');
  if (slot.holders > 0) return;
  await supply.until(() => slot.state === 'closed');
  if (isFull) await growByOne(engine);
}

/** Opens one more connection, where none is being opened that fills the place. */
async function growByOne<T>(engine: Engine<T>): Promise<void> {
  const { scheduler, supply } = engine;
  const ended = () => supply.counts.created + supply.counts.createFailed;
  const before = ended();
  stopIfDown(engine);
  scheduler.growTo(scheduler.open + 1);
  await supply.until(() => ended() > before || scheduler.open === scheduler.slots.size);
  stopIfDown(engine);
}

/** @throws why creation failed last, if it has not succeeded since: whatever went now would not come back. */
function stopIfDown<T>({ isClosed, scheduler, supply }: Engine<T>): void {
  if (scheduler.permits <= 0 && !isClosed) throw supply.attempts.lastError;
}
