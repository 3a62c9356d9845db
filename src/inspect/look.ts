import { afterIdly, cancel } from '../clock.ts';
import { atRoot, shared } from '../context.ts';

/** Whoever looks more often than that, looks all the time. */
const LOOK_MS = 10_000;

/** Somebody looks: for a while whoever acquires is named by the line of code. */
export function look(): void {
  cancel(shared.look);
  shared.look = atRoot(() =>
    afterIdly(LOOK_MS, () => {
      shared.look = undefined;
    }),
  );
}
