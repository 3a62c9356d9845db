import type { IncomingMessage } from 'node:http';

const OWN_HOST = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/i;
/** What browsers say of a request that the page itself, or its user, has made. */
const OWN_SITES: readonly (string | undefined)[] = [undefined, 'same-origin', 'none'];

/**
 * Whether a request to a server of this machine comes from a page of somewhere else, in a browser of this machine: by a
 * name that was made to point here (DNS rebinding), or across origins.
 */
export function isForeign({ headers }: IncomingMessage): boolean {
  const { host = '', origin } = headers;
  if (!OWN_HOST.test(host)) return true;
  if (origin !== undefined && origin !== `http://${host}`) return true;
  return !OWN_SITES.includes(headers['sec-fetch-site'] as string | undefined);
}
