import type { WorkerFacts } from './limits.ts';

/** Warns once of each pool in which jobs wait for one another, because it has fewer connections than jobs that run at a time. */
export function crowdingOf(worker: WorkerFacts, running: () => number): (pool: string, max: number) => void {
  const told = new Set<string>();
  return (pool, max) => {
    const { name, concurrency } = worker;
    if (max >= concurrency || told.has(pool)) return;
    // It may be one job that takes many, or code beside the jobs.
    if (running() <= max) return;
    told.add(pool);
    process.emitWarning(
      `worker "${name}" runs ${concurrency} jobs at a time, but the pool "${pool}" has at most ${max} for them: jobs that need a connection ` +
        'of their own wait for one another. Raise its limit, or lower the concurrency',
      { type: 'ScopedPoolWarning', code: 'SCOPED_POOL_LIMIT_LOW' },
    );
  };
}
