/** How long commands took, in milliseconds: from wanting one to having its reply, connecting and waiting included. */
export class Latencies {
  #all: number[] = [];

  /** Runs one command and notes how long it took; one that fails is not noted. */
  async time<T>(command: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const reply = await command();
    this.#all.push(performance.now() - begun);
    return reply;
  }

  /** Begins anew. */
  forget(): void {
    this.#all = [];
  }

  /** What so many percent of the commands did not exceed, by the nearest rank, in the order asked for. NaN without a command. */
  percentiles(...percents: readonly number[]): readonly number[] {
    const sorted = Float64Array.from(this.#all).sort();
    return percents.map((percent) => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN);
  }
}
