import { after, cancel } from '../../clock.ts';
import type { Address } from './slots.ts';

/** How long a node may take to answer before the next one is asked, too, in milliseconds. */
const PATIENCE_MS = 250;

/** The first answer. The next one is asked when the one before has failed, or has not answered for a while. */
export function firstAnswer<R>(nodes: readonly Address[], ask: (node: Address) => Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    const left = [...nodes];
    let running = 0;
    let firstError: unknown;
    const next = () => {
      const node = left.shift();
      if (node === undefined) return running > 0 ? undefined : reject(firstError);
      running++;
      const timer = after(PATIENCE_MS, next);
      const onAnswer = (answer: R) => {
        cancel(timer);
        left.length = 0;
        resolve(answer);
      };
      ask(node).then(onAnswer, (error: unknown) => {
        cancel(timer);
        firstError ??= error;
        running--;
        next();
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
