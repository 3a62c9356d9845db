import { wallTime } from '../../clock.ts';
import { ageText } from '../../inspect/age.ts';
import { legible } from '../../printable.ts';
import { type Facts, factsOf, type History } from '../history.ts';
import type { OpeningRow, PoolRow } from '../inside.ts';
import { type PlaceRow, worstOf } from '../places.ts';
import type { Trend } from '../verdict.ts';
import { verdictText } from '../wording.ts';
import { type Entry, MOST_ENTRIES } from './page/messages.ts';
import { siteText } from './shot.ts';
import { type Moment, Suspicion } from './suspicion.ts';

/** A pool that is full again and again is told of once, until it was not for so long. */
const QUIET_MS = 10_000;
/** What is held for a shorter time is work, not a leak. */
const LONG_MS = 5_000;
const MOODS = { growing: 'bad', plateau: 'good', watching: 'neutral' } as const satisfies Record<Trend, Entry['mood']>;

/** What happened while a server was watched, as far as it is worth a line. Bounded: of a long time the end. */
export class Journal {
  #entries: readonly Entry[] = [];
  #fresh: Entry[] = [];
  #trend: Trend = 'watching';
  #rejected = 0;
  /** By pool: when it was seen down, or full, the last time. */
  readonly #downAt = new Map<string, number>();
  readonly #fullAt = new Map<string, number>();
  /** Of lines that hold, and of those that open without a pool. */
  readonly #holding = new Suspicion();
  readonly #opening = new Suspicion();

  /** The oldest first. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  note(text: string): readonly Entry[] {
    this.#add('neutral', text);
    return this.#flush();
  }

  /** @returns what is new. */
  observe(history: History): readonly Entry[] {
    const facts = factsOf(history);
    this.#observeVerdict(facts);
    const rejected = facts.rejectedMeanwhile - this.#rejected;
    if (rejected > 0) this.#add('bad', `${rejected} connections were rejected: there are maxclients (${facts.maxclients ?? 'unknown'})`);
    this.#rejected = facts.rejectedMeanwhile;
    this.#observePools(facts.inside.pools, history.last.atMs);
    const moment = { atMs: history.last.atMs, windowMs: history.windowMs };
    this.#observePlaces(facts, moment);
    this.#observeOpenings(facts, moment);
    return this.#flush();
  }

  #observeVerdict({ verdict }: Facts): void {
    if (verdict.trend === this.#trend) return;
    this.#trend = verdict.trend;
    // That it is too early to tell is no news.
    if (verdict.trend === 'watching') return;
    this.#add(MOODS[verdict.trend], verdictText(verdict));
  }

  #observePools(pools: readonly PoolRow[], atMs: number): void {
    // Two scopes of one process may have one name, and a pool each.
    const down = new Set(pools.filter(({ health }) => health === 'down').map(nameOf));
    for (const pool of pools) {
      const name = nameOf(pool);
      const { health, inUse, max, pending, error } = pool;
      if (health === 'down') this.#sayOnce(this.#downAt, name, atMs, `is down${error === undefined ? '' : `: ${legible(error)}`}`);
      else if (!down.has(name) && this.#downAt.delete(name)) this.#add('good', `${name} is no longer down`);
      const isFull = max !== null && inUse >= max && pending > 0;
      if (isFull) this.#sayOnce(this.#fullAt, name, atMs, `is full: ${inUse} of ${max} in use, ${pending} waiting`);
    }
    for (const seen of [this.#downAt, this.#fullAt]) forget(seen, atMs - QUIET_MS);
  }

  #sayOnce(seen: Map<string, number>, name: string, atMs: number, what: string): void {
    if (!seen.has(name)) this.#add('bad', `${name} ${what}`);
    seen.set(name, atMs);
  }

  #observePlaces({ inside }: Facts, moment: Moment): void {
    const places = inside.places.filter(({ site }) => site !== undefined);
    this.#holding.observe(new Map(places.map((place) => [placeName(place), takenBy(place)])), moment);
    const worst = worstOf(places.filter((place) => this.#holding.goesOn(placeName(place))));
    const first = worst && (worst.leakedLately > 0 || worst.oldestMs >= LONG_MS) ? worst : undefined;
    const isNews = this.#holding.isNews(first && placeName(first), moment);
    if (!first || !isNews) return;
    const { leases, leakedLately, oldestMs } = first;
    const [site, pool] = [siteText(first.site), `pool ${legible(first.pool)}`];
    if (leakedLately > 0) this.#add('bad', `${site} leaks leases of ${pool}, ${leakedLately} in the last 10 s`);
    else this.#add('bad', `${site} is to be suspected first: ${pool}, leases ${leases}, the oldest for ${ageText(oldestMs / 1_000)}`);
  }

  #observeOpenings({ verdict, inside: { openings } }: Facts, moment: Moment): void {
    this.#opening.observe(new Map(openings.map(({ site, opened }) => [site, opened])), moment);
    const isSuspect = ({ site, grown }: OpeningRow) => grown > 0 && this.#opening.goesOn(site);
    const first = verdict.trend === 'growing' ? openings.find(isSuspect) : undefined;
    const isNews = this.#opening.isNews(first?.site, moment);
    if (!first || !isNews) return;
    this.#add('bad', `${siteText(first.site)} opens most connections without a pool, ${first.grown} in the last 10 s`);
  }

  #add(mood: Entry['mood'], text: string): void {
    this.#fresh.push({ atMs: wallTime(), mood, text });
  }

  #flush(): readonly Entry[] {
    const fresh = this.#fresh.slice(-MOST_ENTRIES);
    this.#fresh = [];
    this.#entries = [...this.#entries, ...fresh].slice(-MOST_ENTRIES);
    return fresh;
  }
}

function nameOf({ pool, scope, pid }: PoolRow): string {
  return `pool ${legible(pool)} of ${legible(scope)} in process ${pid}`;
}

/** Those that wait would hold as well, if the pool were not full; and those that were leaked were held. */
function takenBy({ leases, waiting, leaked }: PlaceRow): number {
  return leases + waiting + leaked;
}

function placeName({ site, pool }: PlaceRow): string {
  return JSON.stringify([pool, site]);
}

/** A pool that is not seen any more has gone with its process. */
function forget(seen: Map<string, number>, beforeMs: number): void {
  for (const [pool, atMs] of seen) if (atMs < beforeMs) seen.delete(pool);
}
