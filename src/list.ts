/** The fields a {@link List} keeps on its members; only the list writes them. */
export interface Linked<N extends Linked<N>> {
  prev: N | undefined;
  next: N | undefined;
  /** The list the member is in; a member is in one list at a time. */
  list: List<N> | undefined;
}

/**
 * A doubly linked list whose links live on the members: adding and removing cost no allocation and no search.
 * Leases, waiters and slots come and go with every use of a connection, so this is where the time would go.
 */
export class List<N extends Linked<N>> {
  first: N | undefined = undefined;
  last: N | undefined = undefined;
  size = 0;

  /** Adds at the end. */
  push(node: N): void {
    this.insertAfter(this.last, node);
  }

  /** Adds behind `place`, or in front of all when there is none. */
  insertAfter(place: N | undefined, node: N): void {
    const next = place ? place.next : this.first;
    node.list = this;
    node.prev = place;
    node.next = next;
    if (place) place.next = node;
    else this.first = node;
    if (next) next.prev = node;
    else this.last = node;
    this.size++;
  }

  /** @returns whether the node was in this list. */
  remove(node: N): boolean {
    if (node.list !== this) return false;
    const { prev, next } = node;
    if (prev) prev.next = next;
    else this.first = next;
    if (next) next.prev = prev;
    else this.last = prev;
    node.list = node.prev = node.next = undefined;
    this.size--;
    return true;
  }

  /** Oldest first. The member just visited may be removed meanwhile. */
  *[Symbol.iterator](): Generator<N, void, undefined> {
    let node = this.first;
    while (node) {
      const { next } = node;
      yield node;
      node = next;
    }
  }
}
