/** A server that is measured. */
export interface Subject {
  readonly name: string;
  readonly framework: 'express' | 'fastify';
  /** An AsyncLocalStorage that nobody uses is on in the process, as where OpenTelemetry or Sentry is loaded. */
  readonly hasStorage?: boolean;
  /** How requests get their scopes; absent for a bare server, in whose process the library is not even loaded. */
  readonly wrap?: 'scopeListener' | 'scopeServer';
}

/** The bare server, with which the others of its framework are compared. */
export function bareOf(framework: Subject['framework']): Subject {
  return { name: framework, framework };
}

export function scopedOf(framework: Subject['framework']): Subject {
  return { name: `${framework}, scopeListener`, framework, wrap: 'scopeListener' };
}

export function storageOf(framework: Subject['framework']): Subject {
  return { name: `${framework}, AsyncLocalStorage on`, framework, hasStorage: true };
}

export function partsOf(framework: Subject['framework']): readonly Subject[] {
  return [{ name: `${framework}, scopeServer`, framework, wrap: 'scopeServer' }];
}
