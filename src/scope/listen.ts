import { InvalidOptionError } from '../errors.ts';

/** What `scope.on` can listen to: Node's emitters and the web's event targets. */
export type Source =
  | {
      on(event: string, listener: (...args: unknown[]) => unknown): unknown;
      off(event: string, listener: (...args: unknown[]) => unknown): unknown;
    }
  | {
      addEventListener(event: string, listener: (event: unknown) => unknown): unknown;
      removeEventListener(event: string, listener: (event: unknown) => unknown): unknown;
    };

/** @returns takes the listener back. */
export function listen(source: Source, event: string, listener: (...args: unknown[]) => unknown): () => void {
  if (typeof source === 'object' && source !== null && 'on' in source) {
    source.on(event, listener);
    return () => void source.off(event, listener);
  }
  if (typeof source === 'object' && source !== null && 'addEventListener' in source) {
    source.addEventListener(event, listener);
    return () => void source.removeEventListener(event, listener);
  }
  throw new InvalidOptionError({ where: 'scope.on()', option: 'emitter', expected: 'an EventEmitter or EventTarget', actual: source });
}
