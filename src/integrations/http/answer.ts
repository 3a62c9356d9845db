import type { ServerResponse } from 'node:http';
import { RetryLaterError, ScopeCancelledError, ServerClosingError } from '../../errors.ts';

/** Answers with what an error means, unless somebody has answered; half an answer is cut off. Never throws. */
export function refuse(response: ServerResponse, error: unknown): void {
  if (response.writableEnded || response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  const { status, headers } = answerTo(error);
  try {
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    // Of the answer that it was to be; http2 has none.
    if (!('stream' in response)) response.statusMessage = '';
    response.writeHead(status, { ...headers, 'content-length': 0 }).end();
  } catch {
    // What others do to a response may throw.
    response.destroy();
  }
}

/** Refuses a request that a server takes no more, and has the client connect to another one. @param error What the scope of the server said. */
export function turnAway(response: ServerResponse, error: unknown): void {
  // In place of a header, which http2 does not allow.
  response.shouldKeepAlive = false;
  refuse(response, new ServerClosingError('', error));
}

/** 503 where it may be tried again, else 500. Of the error itself a client learns nothing. */
function answerTo(error: unknown): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  return laterOf(error) ?? { status: 500, headers: {} };
}

/** Why it may be tried again, if so. */
export function laterOf(error: unknown): RetryLaterError | undefined {
  if (error instanceof RetryLaterError) return error;
  const cause = error instanceof ScopeCancelledError ? error.cause : undefined;
  return cause instanceof RetryLaterError ? cause : undefined;
}
