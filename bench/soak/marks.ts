/** Which numbers were seen, in one bit each: off the heap, for it is the heap that is looked at. */
export class Marks {
  readonly #bits: Uint8Array;
  #count = 0;

  constructor(size: number) {
    this.#bits = new Uint8Array(Math.ceil(size / 8));
  }

  get count(): number {
    return this.#count;
  }

  add(number: number): void {
    const bit = 1 << (number & 7);
    const byte = this.#bits[number >> 3] ?? 0;
    if (byte & bit) return;
    this.#bits[number >> 3] = byte | bit;
    this.#count++;
  }
}
