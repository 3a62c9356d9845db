import { onTestFinished } from 'vitest';

/** What the process is warned of, until the end of the test. */
export function warnings(): Error[] {
  const seen: Error[] = [];
  const listen = (warning: Error) => void seen.push(warning);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  return seen;
}
