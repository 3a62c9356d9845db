/** Where the first jobs wait for each other, so that every worker has a part in what follows. */
export class StartingLine {
  /** Resolves when all have arrived. */
  readonly full: Promise<void>;
  /** Lets all pass who wait, and whoever comes. */
  readonly open: () => void;
  readonly #opened: Promise<void>;
  readonly #fill: () => void;
  #missing: number;

  constructor(places: number) {
    this.#missing = places;
    [this.full, this.#fill] = door();
    [this.#opened, this.open] = door();
  }

  pass(): Promise<void> {
    if (--this.#missing === 0) this.#fill();
    return this.#opened;
  }
}

function door(): readonly [opened: Promise<void>, open: () => void] {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return [opened, open];
}
