/** What has come over one connection of messages that are numbered from 1. */
export class Tally {
  /** Came in their order, each once: as many as were published when none was missing or late. */
  delivered = 0;
  /** Came twice, or after one that was published later. */
  strays = 0;
  /** The highest number that came. */
  last = 0;

  add(number: number): void {
    if (number <= this.last) {
      this.strays++;
      return;
    }
    this.delivered++;
    this.last = number;
  }
}
