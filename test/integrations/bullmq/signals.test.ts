import { type ClosingReport, handleSignals, scopeOf, scopeWorker } from 'scoped-pool/bullmq';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { useRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { warnings } from '../../support/warnings.ts';
import { Bull, Gate, VERSIONS, type Worker } from './bull.ts';

const redis = useRedis();
const count = () => process.listenerCount('SIGUSR2') + process.listenerCount('SIGTERM');

// What ends a process is in the kill matrix.
describe.each(VERSIONS.slice(0, 1))('handleSignals() on %s', (_, module) => {
  const bull = new Bull(module, redis);
  const worker = async () => scopeWorker(await bull.worker(await bull.queue(), async () => {}));

  it('ends the workers that are in the array when the signal comes, and then calls onDone', async () => {
    const workers: Worker[] = [await worker()];
    const report = await new Promise<ClosingReport>((resolve) => {
      const handlers = handleSignals(workers, { signals: ['SIGUSR2'], exit: false, onDone: resolve });
      onTestFinished(() => handlers[Symbol.dispose]());
      worker().then((late) => {
        workers.push(late);
        process.emit('SIGUSR2');
      });
    });
    expect(report).toEqual({ clean: true, pending: [], forcedLeases: 0 });
    expect(workers.map((one) => scopeOf(one).state)).toEqual(['closed', 'closed']);
  });

  it('ends the process when the workers of every call have ended, with 1 when one of them was not clean', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    onTestFinished(() => exit.mockRestore());
    const [fast, slow] = [new Gate(), new Gate()];
    const queue = await bull.queue();
    const begun = new Gate();
    const busy = await bull.worker(queue, async () => {
      begun.open();
      await slow.opened;
    });
    const broken = scopeWorker(await bull.worker(await bull.queue(), async () => {}), { onError: () => {} });
    scopeOf(broken).onClose(() => Promise.reject(new Error('not clean')));
    const options = { signals: ['SIGUSR2'] as const };
    const handlers = [
      handleSignals(await worker(), { ...options, onDone: fast.open }),
      handleSignals(busy, options),
      handleSignals(broken, options),
    ];
    onTestFinished(() => {
      for (const one of handlers) one[Symbol.dispose]();
    });
    const job = await queue.add('job', {});
    await begun.opened;
    process.emit('SIGUSR2');
    await fast.opened;
    // Longer than from the last onDone to the exit.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(exit).not.toHaveBeenCalled();
    slow.open();
    await until(() => exit.mock.calls.length > 0);
    expect(exit.mock.calls[0]).toEqual([1]);
    expect(await job.getState()).toBe('completed');
  });

  it('ends the workers also when something else has come into their array', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
    onTestFinished(() => exit.mockRestore());
    const seen = warnings();
    const workers: Worker[] = [await worker()];
    const report = await new Promise<ClosingReport>((resolve) => {
      const handlers = handleSignals(workers, { signals: ['SIGUSR2'], onDone: resolve });
      onTestFinished(() => handlers[Symbol.dispose]());
      workers.push(undefined as unknown as Worker);
      process.emit('SIGUSR2');
    });
    expect(report).toEqual({ clean: true, pending: [], forcedLeases: 0 });
    await until(() => exit.mock.calls.length > 0);
    expect(exit.mock.calls[0]).toEqual([1]);
    expect(seen).toEqual([expect.objectContaining({ code: 'ERR_NOT_A_WORKER' })]);
  });

  it('takes its handlers off when it is disposed of', async () => {
    const before = count();
    const handlers = handleSignals(await worker(), { signals: ['SIGUSR2', 'SIGTERM'] });
    expect(count()).toBe(before + 2);
    handlers[Symbol.dispose]();
    expect(count()).toBe(before);
  });

  it('refuses what is no worker, and wrong options, and listens to nothing then', async () => {
    const before = count();
    const one = await worker();
    expect(() => handleSignals([{} as Worker])).toThrow(expect.objectContaining({ code: 'ERR_NOT_A_WORKER' }));
    for (const options of [{ signals: ['SIGKILL'] }, { signals: [] }, { signals: ['TERM'] }, { onDone: 1 }, { exit: 1 }, { force: true }])
      expect(() => handleSignals(one, options as object)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
    expect(count()).toBe(before);
  });
});
