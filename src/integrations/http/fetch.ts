import { currentFrame, type Frame } from '../../context.ts';
import { ClientGoneError, ServerClosingError } from '../../errors.ts';
import { type Check, callable, checkArgument } from '../../options.ts';
import { isRefusal } from '../../scope/failures.ts';
import { type Scope, tryCurrentScope } from '../../scope/index.ts';
import type { Failure } from '../../scope/state.ts';
import { laterOf } from './answer.ts';
import { ScopedBody } from './body.ts';
import { Handling, scopeOfRequest } from './handling.ts';
import { type RequestOptions, type Rules, rulesOf } from './options.ts';

/**
 * Wraps a handler that is given a `Request` and returns a `Response`: each request runs in a scope of its own, a child of
 * `server`, which owns the pools. In it run the handler, whatever it awaits, and what makes the chunks of the body.
 *
 * The scope ends when the body has been read, and at once where there is none. When the client goes away before, which is
 * when the body is cancelled or `request.signal` aborts, it is cancelled: acquires that wait are refused, none begins,
 * `currentScope().signal` aborts. What is still leased after `graceMs` is revoked and its connection closed, never given
 * back. A body that nobody reads or cancels keeps its scope until `timeoutMs`.
 *
 * What the handler throws is rejected with when the scope has ended, for the framework to answer it. Answered here, with
 * 503 and Retry-After: that no connection could be had, that it took longer than `timeoutMs`, that `server` closes.
 * `onError` is told of the first two, and of what fails when the answer has been given, such as a body. A HEAD request is
 * answered without the body.
 *
 *     Deno.serve(scopeFetch(scope, app.fetch))                        // Hono
 *     Bun.serve({ fetch: scopeFetch(scope, app.fetch) })
 *     serve({ fetch: scopeFetch(scope, app.fetch) })                  // @hono/node-server
 *     export const GET = scopeFetch(scope, async (request: Request) => Response.json(await find(request)))   // Next
 *
 * @param server The scope of the server: it outlives its requests and owns the pools.
 * @throws InvalidOptionError, ScopeClosedError.
 */
export function scopeFetch<This, Req extends Request, Rest extends unknown[], Out extends Response | undefined>(
  server: Scope,
  handler: (this: This, request: Req, ...rest: Rest) => Out | PromiseLike<Out>,
  options: RequestOptions = {},
): (this: This, request: Req, ...rest: Rest) => Promise<Out | Response> {
  const where = 'scopeFetch()';
  checkArgument(where, 'its handler', handler, callable);
  const rules = rulesOf(where, server, options);
  return async function scopedFetch(this: This, request, ...rest) {
    checkArgument('a handler of scopeFetch()', 'its first argument', request, isRequest);
    const handle = () => handler.call(this, request, ...rest);
    return isHandled(request) ? handle() : answer(server, request, rules, handle);
  };
}

const isRequest: Check = (value) => {
  const { signal, method, url } = (value ?? {}) as Partial<Request>;
  return signal && typeof method === 'string' && typeof url === 'string' ? undefined : 'a Request';
};

/** Whether this is code of the scope of that request: wrapped twice, it needs no other. */
function isHandled(request: Request): boolean {
  const scope = scopeOfRequest(request);
  if (!scope) return false;
  for (let at: Scope | null = tryCurrentScope() ?? null; at; at = at.parent) if (at === scope) return true;
  return false;
}

function answer<Out>(server: Scope, request: Request, rules: Rules, handler: () => Out | PromiseLike<Out>): Promise<Out | Response> {
  let scope: FetchScope<Out>;
  try {
    scope = new FetchScope(server, request, rules);
  } catch (error) {
    if (isRefusal(error)) return Promise.resolve(new ServerClosingError('', error).getResponse());
    throw error;
  }
  return scope.answer(handler);
}

/** The scope of one request: ends when what handles it has settled, and the body of its response, too, if it has one. */
class FetchScope<Out> extends Handling {
  readonly #request: Request;
  readonly #onGone = () => this.#leave();
  #resolve: (answer: Out | Response) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  #isAnswered = false;
  /** Nobody can go away any more: all has been handed over. */
  #isServed = false;
  #thrown: Failure | undefined;
  #body: ScopedBody | undefined;

  /** @throws ScopeClosedError, ScopeCancelledError when the server takes nothing more. */
  constructor(server: Scope, request: Request, rules: Rules) {
    super(server, request, rules);
    this.#request = request;
  }

  answer(handler: () => Out | PromiseLike<Out>): Promise<Out | Response> {
    const { signal } = this.#request;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (signal.aborted) this.#leave();
      else signal.addEventListener('abort', this.#onGone, { once: true });
      this.complete(() => this.#run(handler))
        .catch((error: unknown) => this.tell(error))
        .finally(() => this.onFinished());
    });
  }

  protected override onFinished(): void {
    this.#serve();
    this.#answerFor(this.abort.reason);
    this.#body?.cut(this.abort.reason);
  }

  async #run(handler: () => Out | PromiseLike<Out>): Promise<void> {
    const frame = currentFrame() as Frame;
    try {
      const response = await handler();
      const source = bodyOf(response);
      if (source) return await this.#stream(response as Response, source, frame);
      this.#serve();
      this.#answer(response);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @throws what the source fails with. */
  async #stream(response: Response, source: ReadableStream, frame: Frame): Promise<void> {
    const { reason } = this.abort;
    if (this.#isAnswered || reason instanceof ClientGoneError) return source.cancel(reason);
    if (this.#request.method === 'HEAD') {
      this.#serve();
      this.#answer(withBody(response, null));
      return source.cancel();
    }
    const body = new ScopedBody(source, frame, this.#onGone);
    this.#body = body;
    this.#answer(withBody(response, body.stream));
    return body.ended;
  }

  #answer(answer: Out | Response): void {
    this.#isAnswered = true;
    this.#resolve(answer);
  }

  #serve(): void {
    this.#isServed = true;
    this.#request.signal.removeEventListener('abort', this.#onGone);
  }

  /** Deno's signals abort after success, too. */
  #leave(): void {
    if (this.#isServed || this.#body?.isOver) return;
    const gone = new ClientGoneError(this.name);
    this.stop(gone);
    // Servers log what a body fails with, and this server knows; one that does not hears of it at the end.
    this.#body?.abandon(gone);
  }

  /** What only repeats why the scope was cancelled is answered when it has ended. */
  #fail(error: unknown): void {
    if (this.isEcho(error)) return;
    const later = laterOf(error);
    if (!this.#isAnswered && !later) {
      this.#thrown = { error };
    } else {
      this.rules.tell(error, this.name);
      if (!this.#isAnswered && later) this.#answer(later.getResponse());
    }
    this.stop(error);
  }

  /** Gives the answer of a request whose handler gave none. */
  #answerFor(reason: unknown): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    if (this.#thrown) return this.#reject(this.#thrown.error);
    const later = laterOf(reason);
    if (later) return this.#resolve(later.getResponse());
    if (reason instanceof ClientGoneError) return this.#resolve(new Response(null, { status: CLIENT_GONE }));
    this.#reject(reason);
  }
}

/** Nobody gets it, but logs do: as nginx says it. */
const CLIENT_GONE = 499;

/** What is still to be read of a response, if anything. */
function bodyOf(response: unknown): ReadableStream | undefined {
  // Not by its class: frameworks have their own.
  const { body, bodyUsed } = (response ?? {}) as Partial<Response>;
  return body && !bodyUsed && !body.locked ? body : undefined;
}

function withBody({ status, statusText, headers }: Response, body: ReadableStream | null): Response {
  return new (platformResponse())(body, { status, statusText, headers });
}

/** The platform's own: that by which @hono/node-server replaces it does not say how long a short body is. */
function platformResponse(): typeof Response {
  let found = Response;
  for (let above = found; above.prototype; above = Object.getPrototypeOf(above)) found = above;
  return found;
}
