import { MOST_ROWS, type Rows } from './messages.ts';
import { make, numberText, setText } from './text.ts';

/** What stands in a column. */
export interface Column<R> {
  readonly head: string;
  readonly text: (row: R) => string | number;
  /** Of the style sheet: how its cells look. */
  readonly look?: 'number' | 'long' | 'code';
  /** For what is good or bad, beside the word that says it. */
  readonly mood?: (row: R) => string;
  /** Lines that are shown when they are asked for. */
  readonly lines?: (row: R) => readonly string[];
  /** By which the rows can be sorted. */
  readonly field?: keyof R;
}

export interface Setting<R> {
  readonly caption: string;
  readonly columns: readonly Column<R>[];
  readonly key: (row: R) => string;
  /** Of one row more than the table shows. */
  readonly unit: string;
  readonly onSort?: (field: keyof R) => void;
}

interface Line {
  readonly element: HTMLTableRowElement;
  readonly cells: readonly HTMLElement[];
}

/** A table whose rows stay what they are while their cells change, so that selection, focus and open details do. */
export class Table<R> {
  readonly #setting: Setting<R>;
  readonly #heads: readonly HTMLTableCellElement[];
  readonly #body = make('tbody');
  readonly #scroll: HTMLElement;
  readonly #more = make('p');
  readonly #empty = make('p');
  readonly #lines = new Map<string, Line>();

  constructor(place: HTMLElement, setting: Setting<R>) {
    this.#setting = setting;
    this.#heads = setting.columns.map((column) => this.#head(column));
    const caption = make('caption', setting.caption);
    caption.className = 'unseen';
    this.#scroll = make('div', make('table', caption, make('thead', make('tr', ...this.#heads)), this.#body));
    // A keyboard can scroll only what it can reach.
    this.#scroll.tabIndex = 0;
    this.#scroll.setAttribute('role', 'region');
    this.#scroll.setAttribute('aria-label', setting.caption);
    for (const [node, name] of [
      [this.#scroll, 'scroll'],
      [this.#more, 'more'],
      [this.#empty, 'empty'],
    ] as const)
      node.className = name;
    place.append(this.#empty, this.#scroll, this.#more);
    this.show({ rows: [], count: 0 }, '');
  }

  /** @param empty What to say, and to do, where there are no rows. */
  show({ rows, count }: Rows<R>, empty: string): void {
    const shown = rows.slice(0, MOST_ROWS);
    this.#scroll.hidden = shown.length === 0;
    this.#empty.hidden = shown.length > 0;
    this.#more.hidden = count <= shown.length;
    setText(this.#empty, empty);
    setText(this.#more, `and ${numberText(count - shown.length)} ${this.#setting.unit} more`);
    this.#arrange(shown);
  }

  /** Says by which column the rows are sorted. */
  mark(field: keyof R, direction: 'ascending' | 'descending'): void {
    this.#heads.forEach((head, index) => {
      if (this.#setting.columns[index]?.field === field) head.setAttribute('aria-sort', direction);
      else head.removeAttribute('aria-sort');
    });
  }

  #arrange(rows: readonly R[]): void {
    const keyed = this.#keyed(rows);
    for (const [key, { element }] of this.#lines) {
      if (keyed.has(key)) continue;
      element.remove();
      this.#lines.delete(key);
    }
    const focused = document.activeElement;
    let next = this.#body.firstElementChild;
    for (const [key, row] of keyed) {
      const { element } = this.#line(key, row);
      if (element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(element, next);
    }
    // What is moved loses it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#body.contains(focused))
      focused.focus({ preventScroll: true });
  }

  /** Two scopes of one process may have one name, and a pool each. */
  #keyed(rows: readonly R[]): ReadonlyMap<string, R> {
    const keyed = new Map<string, R>();
    for (const row of rows) {
      let key = this.#setting.key(row);
      while (keyed.has(key)) key += '+';
      keyed.set(key, row);
    }
    return keyed;
  }

  #line(key: string, row: R): Line {
    const line = this.#lines.get(key) ?? this.#newLine();
    this.#lines.set(key, line);
    this.#setting.columns.forEach(({ text, look = '', mood, lines }, index) => {
      const cell = line.cells[index];
      if (!cell) return;
      const value = text(row);
      setText(lines ? (cell.querySelector('summary') ?? cell) : cell, typeof value === 'number' ? numberText(value) : value);
      if (mood) cell.className = `${look} ${mood(row)}`;
      const pre = cell.querySelector('pre');
      if (pre) setText(pre, lines?.(row).join('\n') || 'No stack was recorded.');
    });
    return line;
  }

  #newLine(): Line {
    const cells = this.#setting.columns.map(({ look, lines }) => {
      const cell = lines ? make('td', make('details', make('summary'), make('pre'))) : make('td');
      cell.className = look ?? '';
      return cell;
    });
    return { element: make('tr', ...cells), cells };
  }

  #head({ head, field, look }: Column<R>): HTMLTableCellElement {
    const cell = make('th', head);
    cell.scope = 'col';
    cell.className = look ?? '';
    if (field === undefined) return cell;
    const button = make('button', head);
    button.type = 'button';
    button.addEventListener('click', () => this.#setting.onSort?.(field));
    cell.replaceChildren(button);
    return cell;
  }
}
