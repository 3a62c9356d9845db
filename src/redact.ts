/** A value as it may stand in a message: short, and no credentials of a URL. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(redact(value).slice(0, 80));
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}

/** Takes user and password out of every URL in a text. No scheme is long: to look for one without end makes long words slow. */
export function redact(value: string): string {
  return value.replace(/([a-z][a-z0-9+.-]{0,30}:\/\/)[^/?#]*@/gi, '$1***@');
}

/** What an error says, or what else was thrown, without credentials of a URL. Never throws, whatever it is given. */
export function messageOf(error: unknown): string {
  try {
    return redact(String(error instanceof Error ? error.message : error));
  } catch {
    return 'an error that cannot be shown';
  }
}
