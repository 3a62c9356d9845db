import type { ServerResponse } from 'node:http';
import { RetryLaterError } from '../../errors.ts';

/** Answers with what an error means, unless somebody has answered; half an answer is cut off. */
export function refuse(response: ServerResponse, error: unknown): void {
  if (response.writableEnded || response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const { status, headers } = answerTo(error);
  response.writeHead(status, { ...headers, 'content-length': 0 }).end();
}

/** Refuses a request that a server takes no more, and has the client connect to another one. */
export function turnAway(response: ServerResponse): void {
  // In place of a header, which http2 does not allow.
  response.shouldKeepAlive = false;
  response.writeHead(503, { ...LATER, 'content-length': 0 }).end();
}

/** Of an answer that says: ask another server, or this one again. */
export const LATER: Readonly<Record<string, string>> = RetryLaterError.prototype.headers;

/** 503 where it may be tried again, else 500. Of the error itself a client learns nothing. */
export function answerTo(error: unknown): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  return error instanceof RetryLaterError ? error : { status: 500, headers: {} };
}
