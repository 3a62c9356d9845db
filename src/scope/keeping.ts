import { currentFrame } from '../context.ts';
import { ScopeClosedError } from '../errors.ts';
import type { Linked, List } from '../list.ts';
import type { Belonging, Kept } from './belonging.ts';
import { Failing } from './failing.ts';
import type { Single } from './holdings.ts';
import type { Lifetime } from './lifetime.ts';
import type { ScopeState } from './state.ts';
import type { Work } from './work.ts';

/** What a scope keeps: children, leases and acquires that wait, and in a root the pools. For the parts of the library, of whichever copy. */
export abstract class Keeping extends Failing implements Linked<Lifetime> {
  /** For the list that it is in. */
  prev: Lifetime | undefined;
  /** For the list that it is in. */
  next: Lifetime | undefined;
  /** The children of its parent. */
  list: List<Lifetime> | undefined;
  /** @internal Whether it was opened in a background task of its parent, which does not wait for it either. */
  isBackground = false;
  /** @internal Whether code of it, or of a scope below it, was given up and may go on. */
  hasLeftBehind = false;
  /** @internal The newest lease that it keeps. */
  held: object | undefined;

  abstract readonly state: ScopeState;
  /** @throws when nothing new may begin here. */
  protected abstract admit(): void;

  /** @internal */
  get children(): readonly Lifetime[] {
    return this.contents.running.children;
  }

  /** @internal All that are right below it, with those in which resources were started. */
  get scopes(): readonly Lifetime[] {
    return this.contents.scopes;
  }

  /** @internal Lets a child in. */
  adopt(child: Lifetime): void {
    this.admit();
    const work = currentFrame()?.work as Work | undefined;
    // Callbacks that a task has left go on in its context when it has ended.
    child.isBackground = work?.background === true && !work.ended && (work.scope as Keeping) === this;
    this.contents.running.addChild(child);
  }

  /** @internal */
  dismiss(child: Lifetime): void {
    this.contents.running.removeChild(child);
  }

  /** @internal Takes a lease or waiter into the scope. @throws when nothing new may begin. */
  own(belonging: Belonging): void {
    this.admit();
    this.contents.holdings.add(belonging);
  }

  /** @internal */
  disown(belonging: Belonging): void {
    this.contents.holdings.remove(belonging);
  }

  /** @internal Has what it owns to its end, from now on. */
  keep(belonging: Kept): void {
    this.contents.holdings.keep(belonging);
  }

  /** @internal What was given up may use what the scopes above keep. */
  noteLeftBehind(): void {
    this.hasLeftBehind = true;
    this.parent?.noteLeftBehind();
  }

  /** @internal What {@link addSingle} has stored. */
  single(key: object): Single | undefined {
    return this.contents.holdings.single(key);
  }

  /** @internal All that {@link addSingle} has stored. */
  get singles(): Iterable<Single> {
    return this.contents.holdings.singles;
  }

  /** @internal Stores what exists once in this root; it is closed after everything that was opened in the root. */
  addSingle(key: object, single: Single): void {
    if (this.state === 'closed') throw new ScopeClosedError(this.name, this.state);
    this.contents.holdings.addSingle(key, single);
  }

  /** @internal */
  removeSingle(key: object, single: Single): void {
    this.contents.holdings.removeSingle(key, single);
  }
}
