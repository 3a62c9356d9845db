/** What is remembered of a sample. */
export interface Point {
  readonly atMs: number;
  /** Connections that the server has ever received, those that it rejected among them. */
  readonly received: number;
  readonly clients: number;
}

/** Whether connections go on being opened; `watching` while it is too early to tell. */
export type Trend = 'watching' | 'plateau' | 'growing';

export interface Verdict {
  readonly trend: Trend;
  /** Connections opened in the time that is looked at. */
  readonly opened: number;
  /** How long that is, in milliseconds. */
  readonly overMs: number;
}

/** The time that is looked at has so many parts. What opens many connections at once, as a start does, falls into two at the most. */
const PARTS = 4;
const ENOUGH_PARTS = 3;
const NEWEST_PARTS = 2;

/**
 * Judges the last `windowMs` by how many of its quarters saw a connection opened: not by how many were opened, for a
 * program that starts may open hundreds, and one that leaks one a second.
 *
 * Hysteresis: it begins to grow when three of the four quarters saw one, and goes on growing until the two newest saw
 * none. So neither a burst nor a client that comes every five seconds begins it, and a pause of one job does not end it.
 *
 * @param points Oldest first, one at the least.
 * @param before The trend at the point before.
 */
export function judge(points: readonly Point[], windowMs: number, before: Trend): Verdict {
  const last = points.at(-1);
  if (!last) return { trend: 'watching', opened: 0, overMs: 0 };
  const borders = Array.from({ length: PARTS + 1 }, (_, part) => nearest(points, last.atMs - (windowMs * part) / PARTS) ?? last);
  const [newest = last, oldest = last] = [borders[0], borders[PARTS]];
  const opened = borders.slice(1).map((border, part) => (borders[part] ?? border).received - border.received);
  const all = { opened: newest.received - oldest.received, overMs: newest.atMs - oldest.atMs };
  return { ...all, trend: trendOf(opened, { before, isSeen: isSeen(points, windowMs) && areTold(borders) }) };
}

/** @param opened By quarter, the newest first. */
function trendOf(opened: readonly number[], { before, isSeen }: { readonly before: Trend; readonly isSeen: boolean }): Trend {
  const withSome = (parts: readonly number[]) => parts.filter((count) => count > 0).length;
  if (before === 'growing' && withSome(opened.slice(0, NEWEST_PARTS)) > 0) return 'growing';
  if (withSome(opened) >= ENOUGH_PARTS) return 'growing';
  return isSeen ? 'plateau' : 'watching';
}

/** Whether the points reach back over the whole window; a little less is enough, for timers are never exact. */
function isSeen(points: readonly Point[], windowMs: number): boolean {
  const [first, last] = [points[0], points.at(-1)];
  return first !== undefined && last !== undefined && last.atMs - first.atMs >= windowMs * (1 - 1 / (2 * PARTS));
}

/**
 * Whether enough of the quarters have points of their own to be told apart. While the monitor stood still, as behind a
 * pager or a Ctrl-Z, it saw none, and cannot say that nothing was opened in them.
 */
function areTold(borders: readonly Point[]): boolean {
  return new Set(borders).size > ENOUGH_PARTS;
}

/** The point that is nearest to a moment. */
function nearest(points: readonly Point[], atMs: number): Point | undefined {
  const after = points.findLastIndex((point) => point.atMs <= atMs) + 1;
  const [left, right] = [points[after - 1], points[after]];
  if (!left || !right) return left ?? right;
  return atMs - left.atMs <= right.atMs - atMs ? left : right;
}
