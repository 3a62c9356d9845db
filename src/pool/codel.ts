/**
 * Tells when who waits has to be refused so that the others are served in time: Controlled Delay, RFC 8289
 * (https://www.rfc-editor.org/rfc/rfc8289). A line in which somebody still gets through within `targetMs` only takes up
 * bursts; one in which for `intervalMs` nobody did is a standing one, and waiting in it helps nobody.
 *
 * The RFC then drops more and more often, as senders of packets slow down when they lose one. Who asks for a
 * connection does not, so here everybody who waited longer than the target is refused while the line stands.
 * Pure: it is told the time.
 */
export class CoDel {
  readonly #targetMs: number;
  readonly #intervalMs: number;
  /** Since when everybody has waited longer than the target. */
  #aboveSince: number | undefined;
  #lastAbove = 0;
  #isStanding = false;

  constructor(targetMs: number, intervalMs: number) {
    this.#targetMs = targetMs;
    this.#intervalMs = intervalMs;
  }

  /** Whether to refuse somebody who has waited since `since` and could be served now. To be asked of everybody who is served. */
  refuses(since: number, now: number): boolean {
    if (now - since < this.#targetMs) {
      this.#aboveSince = undefined;
      if (now - this.#lastAbove >= this.#intervalMs) this.#isStanding = false;
      return false;
    }
    this.#lastAbove = now;
    this.#aboveSince ??= now;
    if (now - this.#aboveSince >= this.#intervalMs) this.#isStanding = true;
    return this.#isStanding;
  }

  /** Nobody waits any more. */
  onEmpty(): void {
    this.#aboveSince = undefined;
    this.#isStanding = false;
  }
}
