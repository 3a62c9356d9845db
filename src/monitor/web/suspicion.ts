/** What goes on taking connections has taken some at so many moments; a start is one of them, a restart another. */
const MOMENTS = 3;
/** Of the time that the verdict looks at: what is taken within such a part counts as one moment, */
const BURST_PART = 1 / 4;
/** those of so many such times are remembered, */
const REMEMBERED = 3;
/** and so long another line comes first before it is named instead, for two that leak alike take turns. */
const STEADY_PART = 1 / 2;

/** A moment of the monitor, and the time that the verdict looks at. */
export interface Moment {
  readonly atMs: number;
  readonly windowMs: number;
}

/** Which line of code is to be named as the one to suspect: one that takes connections again and again, not in one burst. */
export class Suspicion {
  #counts: ReadonlyMap<string, number> = new Map();
  /** By line: when its count rose, the last times. */
  readonly #rises = new Map<string, readonly number[]>();
  #named: string | undefined;
  /** Who comes first instead of the one that was named, and since when. */
  #rival: { readonly line: string; readonly sinceMs: number } | undefined;

  /** @param counts By line, how many connections it has. */
  observe(counts: ReadonlyMap<string, number>, { atMs, windowMs }: Moment): void {
    for (const [line, count] of counts) {
      const rises = this.#rises.get(line) ?? [];
      const isAnother = atMs - (rises.at(-1) ?? Number.NEGATIVE_INFINITY) >= windowMs * BURST_PART;
      if (isAnother && count > (this.#counts.get(line) ?? 0)) this.#rises.set(line, [...rises, atMs].slice(-MOMENTS));
    }
    this.#counts = counts;
    for (const [line, rises] of this.#rises) {
      const recent = rises.filter((risenMs) => atMs - risenMs <= windowMs * REMEMBERED);
      if (recent.length === 0) this.#rises.delete(line);
      else this.#rises.set(line, recent);
    }
  }

  /** Whether it has taken connections time and again. */
  goesOn(line: string): boolean {
    return this.#rises.get(line)?.length === MOMENTS;
  }

  /** @param line The one that comes first, if any. @returns whether it is to be named, as another one was before. */
  isNews(line: string | undefined, { atMs, windowMs }: Moment): boolean {
    if (line === undefined || line === this.#named) this.#rival = undefined;
    else if (this.#rival?.line !== line) this.#rival = { line, sinceMs: atMs };
    if (line === undefined || !this.#rival) return false;
    if (this.#named !== undefined && atMs - this.#rival.sinceMs < windowMs * STEADY_PART) return false;
    [this.#named, this.#rival] = [line, undefined];
    return true;
  }
}
