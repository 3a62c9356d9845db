import type { Reporter, TestCase } from 'vitest/node';

/** More than these in one run are no accident. */
const MOST = 3;

/**
 * Tells of tests that passed only when they were tried again. The run ends with exit code 1 when they are many, or when
 * chance had found something, which with another seed it does not find again.
 */
export class SecondTries implements Reporter {
  onTestRunEnd(modules: Parameters<NonNullable<Reporter['onTestRunEnd']>>[0]): void {
    const tests = modules.flatMap(({ children }) => [...children.allTests('passed')]).filter((test) => test.diagnostic()?.flaky);
    for (const test of tests) say(`passed only when tried again: ${test.module.relativeModuleId} > ${test.fullName}\n${reasonOf(test)}`);
    const found = tests.filter((test) => /seed/i.test(test.fullName + reasonOf(test))).length;
    if (found > 0) say(`${found} of them had failed by a seed: that counts as a failure`);
    if (tests.length > MOST) say(`${tests.length} are more than chance: at most ${MOST} are let pass`);
    if (found > 0 || tests.length > MOST) process.exitCode = 1;
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Why it failed the first time. */
function reasonOf(test: TestCase): string {
  return (test.result().errors ?? []).map(({ message }) => message).join('\n');
}
