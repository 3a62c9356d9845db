/** An element of `index.html`. @throws Error where there is none, which is a mistake of this page. */
export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** A new element with these in it. Whatever comes from outside is text, never markup. */
export function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, ...parts: readonly (string | Node)[]): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.append(...parts);
  return made;
}

/** Leaves alone what is so already: a selection stays, and nothing is laid out anew. */
export function setText(node: Node, text: string | number): void {
  if (node.textContent !== `${text}`) node.textContent = `${text}`;
}

const numbers = new Intl.NumberFormat('en');

export function numberText(value: number): string {
  return numbers.format(value);
}
