import { setTimeout as sleep } from 'node:timers/promises';

type Falsy = false | 0 | '' | null | undefined;

/**
 * Polls until the condition answers something truthy, and returns that. A condition that throws is asked again.
 *
 * @throws Error after `timeoutMs` (default 5,000), with the condition, its last answer, or its error as the cause.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 5_000 }: { readonly timeoutMs?: number } = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { answer, error } = await attempt(condition);
    if (answer) return answer as Exclude<T, Falsy>;
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${condition}\nlast answer: ${JSON.stringify(answer)}`, { cause: error });
    }
    await sleep(5);
  }
}

async function attempt<T>(condition: () => T | Promise<T>): Promise<{ readonly answer?: T; readonly error?: unknown }> {
  try {
    return { answer: await condition() };
  } catch (error) {
    return { error };
  }
}
