import type { Engine } from './engine.ts';

/**
 * Replaces every connection that is open now. Whatever is held goes when its holder leaves; idle ones go one at a time,
 * each after the one before has been replaced, so that the pool is never without, and never above `max`.
 *
 * @throws what the factory threw when one could not be replaced; the rest is kept then.
 */
export async function refresh<T>({ scheduler, supply }: Engine<T>): Promise<void> {
  const old = [...scheduler.slots];
  const { open } = scheduler;
  const idle = old.filter(({ state }) => state === 'free');
  for (const slot of old) if (!idle.includes(slot)) scheduler.retire(slot, 'refreshed');
  for (const slot of idle) {
    scheduler.retire(slot, 'refreshed');
    if (slot.holders > 0) continue;
    await supply.until(() => slot.state === 'closed');
    const { createFailed } = supply.counts;
    scheduler.growTo(open);
    await supply.until(() => scheduler.arriving === 0 || supply.counts.createFailed > createFailed);
    if (supply.counts.createFailed > createFailed) throw supply.lastError;
  }
  await supply.until(() => old.every(({ state }) => state === 'closed'));
}
