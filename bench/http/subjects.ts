/** A server that is measured. */
export interface Subject {
  readonly name: string;
  readonly framework: 'express' | 'fastify';
  /** How requests get their scopes; absent for a bare server, in whose process the library is not even loaded. */
  readonly wrap?: 'storage.run' | 'scopeListener' | 'scopeServer';
}

/** The bare server, with which the others of its framework are compared. */
export function bareOf(framework: Subject['framework']): Subject {
  return { name: framework, framework };
}

export function scopedOf(framework: Subject['framework']): Subject {
  return { name: `${framework}, scopeListener`, framework, wrap: 'scopeListener' };
}

/** With an AsyncLocalStorage entered for each request, and nothing else: the least that a scope can cost. */
export function storageOf(framework: Subject['framework']): Subject {
  return { name: `${framework}, storage.run`, framework, wrap: 'storage.run' };
}

export function partsOf(framework: Subject['framework']): readonly Subject[] {
  return [{ name: `${framework}, scopeServer`, framework, wrap: 'scopeServer' }];
}
