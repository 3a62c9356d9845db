import type { IncomingMessage } from 'node:http';
import { ScopeCancelledError, ScopeClosedError } from '../../errors.ts';
import { type Check, callable, checkArgument, checkOptions, duration, text } from '../../options.ts';
import { Scope } from '../../scope/index.ts';

/** What is known of a request before it is handled, however it came. */
export type RequestLike = Pick<IncomingMessage, 'method' | 'url'> | Pick<Request, 'method' | 'url'>;

/** Settings of the scopes of requests. */
export interface RequestOptions {
  /** What the scope of a request is called in errors and in `scope.tree()`, by its `method` and `url`, of which Node gives the path and fetch all. Default: method and path. */
  readonly name?: ((request: RequestLike) => string) | undefined;
  /**
   * How long a request may take, in milliseconds, until its scope is cancelled: acquires that wait are refused, and none
   * begins. Default: no limit.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How long, in milliseconds, what handles a request may go on once its response is closed, or once it was cancelled: by
   * `timeoutMs`, or because the client has gone. Then its leases are revoked and their connections closed. Default 5,000.
   */
  readonly graceMs?: number | undefined;
  /** Told what nobody else is: what the listener throws, and what fails beside it. Default: a process warning. */
  readonly onError?: ((error: unknown, name: string) => void) | undefined;
}

/** What holds for all requests of one listener. */
export interface Rules {
  readonly name: (request: RequestLike) => string;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly tell: (error: unknown, name: string) => void;
}

const GRACE_MS = 5_000;

const CHECKS = {
  name: callable,
  timeoutMs: duration(1),
  graceMs: duration(),
  onError: callable,
} satisfies Record<keyof RequestOptions, unknown>;

export const isScope: Check = (value) => (value instanceof Scope ? undefined : 'a Scope');

/** @param where Who asks, as the user wrote it. @throws InvalidOptionError, ScopeClosedError. */
export function rulesOf(where: string, server: Scope, options: RequestOptions): Rules {
  checkArgument(where, 'its first argument', server, isScope);
  checkOptions(where, options, CHECKS);
  if (server.state !== 'open') throw new ScopeClosedError(server.name, server.state);
  if (server.isStopped) throw new ScopeCancelledError(server.name, server.signal.reason);
  const { timeoutMs = Number.POSITIVE_INFINITY, graceMs = GRACE_MS, onError } = options;
  const name = options.name ? checked(where, options.name) : nameOf;
  return { name, timeoutMs, graceMs, tell: tellerOf(server, onError) };
}

/** A handler that is broken must not end the process, or keep a request from its end. */
function tellerOf(server: Scope, onError: RequestOptions['onError']): Rules['tell'] {
  if (!onError) return (error, name) => server.report(error, name);
  return (error, name) => {
    const call = async () => onError(error, name);
    call().catch((thrown: unknown) => {
      server.report(thrown, 'onError');
      server.report(error, name);
    });
  };
}

function checked(where: string, name: Rules['name']): Rules['name'] {
  return (request) => {
    const given: unknown = name(request);
    checkArgument(where, 'what its function name gives', given, text);
    return given as string;
  };
}

/** Without the query, which may hold what is secret. */
function nameOf({ method, url = '' }: RequestLike): string {
  const path = url.replace(/[?#].*$/s, '').replace(/^https?:\/\/[^/]*/i, '');
  return `${method} ${path || '/'}`;
}
