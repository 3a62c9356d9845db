import type { BullScopeOptions } from '../../src/integrations/bullmq/index.ts';

/** How a worker is measured. */
export interface Subject {
  readonly name: string;
  /** An AsyncLocalStorage that nobody uses is on in the process, as where OpenTelemetry or Sentry is loaded. */
  readonly hasStorage?: boolean;
  /** How it is wrapped; absent for a bare worker, in whose process the library is not even loaded. */
  readonly wrap?: BullScopeOptions;
  /** The processor takes three parameters, so that BullMQ makes an AbortController per job. Default false. */
  readonly takesSignal?: boolean;
  /** Commands that a job sends, one after the other: over our pool, or over one ioredis client that all jobs share. */
  readonly commands?: number;
}

export const BARE: Subject = { name: 'bare' };
export const STORAGE: Subject = { name: 'bare, AsyncLocalStorage on', hasStorage: true };
export const WRAPPED: Subject = { name: 'scopeWorker', wrap: {} };

/** Where the costs are. */
export const PARTS: readonly Subject[] = [
  { name: 'bare, AsyncLocalStorage on, AbortController', hasStorage: true, takesSignal: true },
  { name: 'scopeWorker, another AsyncLocalStorage on', hasStorage: true, wrap: {} },
  { name: 'scopeWorker, abortable', wrap: { abortable: true } },
  { name: 'scopeWorker, detach: false', wrap: { detach: false } },
];

/** Workers whose jobs send so many commands each. */
export function sending(commands: number): readonly Subject[] {
  return [BARE, STORAGE, WRAPPED].map((subject) => ({ ...subject, commands }));
}
