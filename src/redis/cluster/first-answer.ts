import { after, cancel } from '../../clock.ts';
import type { Address } from './slots.ts';

/** How long a node may take to answer before the next one is asked, too, in milliseconds. */
const PATIENCE_MS = 250;

/**
 * The first answer that says something; `undefined` when none does. The next one is asked when the one before has
 * failed, has nothing to say, or has not answered for a while.
 *
 * @throws what the first one failed with, when no other has answered.
 */
export function firstAnswer<R>(nodes: readonly Address[], ask: (node: Address) => Promise<R | undefined>): Promise<R | undefined> {
  return new Promise((resolve, reject) => {
    const left = [...nodes];
    let running = 0;
    let hasAnswer = false;
    let firstError: unknown;
    const next = () => {
      const node = left.shift();
      if (node === undefined) {
        if (running > 0) return;
        return hasAnswer ? resolve(undefined) : reject(firstError);
      }
      running++;
      const timer = after(PATIENCE_MS, next);
      const onAnswer = (answer: R | undefined) => {
        hasAnswer = true;
        if (answer === undefined) return onNothing();
        cancel(timer);
        left.length = 0;
        resolve(answer);
      };
      const onNothing = () => {
        cancel(timer);
        running--;
        next();
      };
      ask(node).then(onAnswer, (error: unknown) => {
        firstError ??= error;
        onNothing();
      });
    };
    next();
  });
}

export function anyOf<T>(items: readonly T[]): T | undefined {
  return items[Math.floor(Math.random() * items.length)];
}

export function inAnyOrder<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
