import { type Check, checkArgument } from '../../options.ts';
import { type BullScopeOptions, checkBullScope } from './options.ts';
import { scopeWorker } from './scope-worker.ts';
import { isWorkerClass, type WorkerClass, type WorkerLike } from './worker.ts';

const workerClass: Check = (value) => (isWorkerClass(value) ? undefined : 'the class Worker of BullMQ 5 or 6');

/**
 * A class whose workers have scopes: each is wrapped by `scopeWorker` when it is made. To subclass, and for frameworks
 * that make the workers: `BullModule.workerClass = withScopes(Worker)`. It has the type parameters and statics of the
 * class that is given. A worker with a processor file stays as it is: its jobs run elsewhere, in `scopeSandbox`.
 *
 * @param options For all of them, or a function of the name of the queue.
 * @throws InvalidOptionError
 */
export function withScopes<C extends WorkerClass>(
  Worker: C,
  options: BullScopeOptions | ((queueName: string) => BullScopeOptions) = {},
): C {
  const where = 'withScopes()';
  checkArgument(where, 'its first argument', Worker, workerClass);
  if (typeof options !== 'function') checkBullScope(where, options);
  const Base = Worker as unknown as new (...args: unknown[]) => WorkerLike;
  const Scoped = class extends Base {
    constructor(...args: unknown[]) {
      super(...args);
      if ((this as { childPool?: unknown }).childPool) return;
      try {
        scopeWorker(this, typeof options === 'function' ? options(this.name) : options);
      } catch (error) {
        // Nobody gets it who could close it.
        this.close(true).catch(() => {});
        throw error;
      }
    }
  };
  Object.defineProperty(Scoped, 'name', { value: Worker.name });
  return Scoped as unknown as C;
}
